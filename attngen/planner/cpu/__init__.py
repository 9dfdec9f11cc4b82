"""Plans for CPUs: candidates through one feasibility function, the survivors ranked by one cost."""

from attngen.planner.cpu.candidates import candidates as candidates
from attngen.planner.cpu.choose import choose_cpu_plan as choose_cpu_plan
from attngen.planner.cpu.choose import rank_cpu_plans as rank_cpu_plans
from attngen.planner.cpu.feasibility import refusals as refusals
from attngen.planner.cpu.plan import CpuPlan as CpuPlan
