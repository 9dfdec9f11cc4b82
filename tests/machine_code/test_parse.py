"""Decoding of single instructions, NVIDIA's and AMD's."""

from __future__ import annotations

import pytest

from attngen.machine_code import amdgcn, sass
from attngen.machine_code.instruction import Category, Pipe

LISTING = """
        //## File "kernel.py", line 7 inlined at "kernel.py", line 12
        /*0000*/                   UMOV UR19, 0x8110490 ;
        /*0010*/                   UMOV UR18, 0x0 ;
.L_x_1:
        /*0020*/                   UTCHMMA tmem[UR7], gdesc[UR16], tmem[UR9], tmem[UR18], idesc[UR19], UPT ;
        //## File "kernel.py", line 13
        /*0030*/              @!P3 BRA `(.L_x_2) ;
        /*0040*/                   BRA.U UP2, `(.L_x_1) ;
        /*0050*/                   HMMA.16816.F32.BF16 R4, R8, R10, R4 ;
        /*0060*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR16], RZ, !UPT ;
        /*0070*/                   LDGSTS.E.BYPASS.128 [R2], desc[UR4][R6.64] ;
.L_x_2:
        /*0080*/                   EXIT ;
"""


def test_sass_listing() -> None:
    code = sass.parse_sass(LISTING)
    assert [item.op for item in code[:3]] == ["UMOV", "UMOV", "UTCHMMA"]
    assert code[2].line == 12  # the kernel's own line, not that of the inlined function
    assert code[2].flops == 2 * 128 * 64 * 16
    assert code[2].of_block
    assert (code[3].jump, code[3].falls) == (8, True)
    assert (code[4].jump, code[4].falls) == (2, True)
    assert code[5].flops == 2 * 16 * 8 * 16
    assert code[6].flops == 2 * 64 * 128 * 16 // 4
    assert code[7].copied_bytes == 16 * 32
    assert not code[8].falls


def test_an_instruction_descriptor_that_is_computed_is_not_guessed() -> None:
    text = LISTING.replace("UMOV UR19, 0x8110490", "UIADD3 UR19, UPT, UPT, UR4, 0x10, URZ")
    assert sass.parse_sass(text)[2].flops is None


@pytest.mark.parametrize(
    ("op", "category", "pipe"),
    [
        ("MUFU.EX2", Category.EXP2, Pipe.EXP),
        ("MUFU.RCP", Category.SPECIAL, Pipe.EXP),
        ("FFMA", Category.FLOAT, Pipe.FMA),
        ("IMAD.MOV.U32", Category.INTEGER, Pipe.FMA),
        ("IADD3", Category.INTEGER, Pipe.ALU),
        ("FSEL", Category.SELECT, Pipe.ALU),
        ("F2FP.BF16.F32.PACK_AB", Category.CONVERT, Pipe.ALU),
        ("LDL.64", Category.SPILL, Pipe.OTHER),
        ("UTMALDG.2D", Category.ASYNC_COPY, Pipe.OTHER),
        ("WARPGROUP.DEPBAR.LE", Category.PRODUCT_WAIT, Pipe.OTHER),
        ("WARPGROUP.ARRIVE", Category.WAIT, Pipe.OTHER),
        ("UIADD3", Category.UNIFORM, Pipe.OTHER),
        ("QGMMA.64x128x32.F32.E4M3.E4M3", Category.PRODUCT, Pipe.MATRIX),
    ],
)
def test_sass_categories(op: str, category: Category, pipe: Pipe) -> None:
    (item,) = sass.parse_sass(f"/*0000*/  {op} R1, R2 ;")
    assert (item.category, item.pipe) == (category, pipe)


ASSEMBLY = """
kernel:
.Lfunc_begin0:
\t.loc\t1 105 28                        ; kernel.py:105:28
\ts_mov_b32 s4, 0
.LBB0_1:                                ; =>This Inner Loop Header: Depth=1
\tv_mfma_f32_32x32x8_bf16 v[32:47], v[62:63], v[186:187], 0
\tscratch_load_dwordx4 v[0:3], off, off offset:16
\ts_cbranch_scc1 .LBB0_1
\ts_endpgm
.Lfunc_end0:
\t.section .rodata
\ts_nop 0
    .private_segment_fixed_size: 24
    .sgpr_count:     89
    .vgpr_count:     220
    .vgpr_spill_count: 6
"""


def test_amdgcn() -> None:
    code = amdgcn.parse_amdgcn(ASSEMBLY)
    assert [item.op for item in code] == [
        "s_mov_b32",
        "v_mfma_f32_32x32x8_bf16",
        "scratch_load_dwordx4",
        "s_cbranch_scc1",
        "s_endpgm",
    ]
    assert code[1].flops == 2 * 32 * 32 * 8
    assert code[1].line == 105
    assert code[2].category is Category.SPILL
    assert (code[3].jump, code[3].falls, code[4].falls) == (1, True, False)
    assert amdgcn.parse_footer(ASSEMBLY) == amdgcn.Footer(220, 89, 6, 24)


@pytest.mark.parametrize(
    ("op", "flops"),
    [
        ("v_mfma_f32_16x16x16_f16", 2 * 16 * 16 * 16),
        ("v_mfma_f32_16x16x32_bf16", 2 * 16 * 16 * 32),
        ("v_mfma_f32_4x4x4_16b_f16", 2 * 4 * 4 * 4 * 16),
        ("v_mfma_f32_32x32x2_f32", 2 * 32 * 32 * 2),
        ("v_wmma_f32_16x16x16_bf16", 2 * 16 * 16 * 16),
    ],
)
def test_amdgcn_products(op: str, flops: int) -> None:
    (item,) = amdgcn.parse_amdgcn(f"\t{op} v[0:3], v[4:5], v[6:7], v[0:3]\n")
    assert (item.category, item.flops) == (Category.PRODUCT, flops)


@pytest.mark.parametrize(
    ("op", "category"),
    [
        ("v_exp_f32_e32", Category.EXP2),
        ("v_rcp_f32_e32", Category.SPECIAL),
        ("v_pk_mul_f32", Category.FLOAT),
        ("v_max3_f32", Category.MAXIMUM),
        ("v_cndmask_b32_e64", Category.SELECT),
        ("v_add_u32_e32", Category.INTEGER),
        ("v_perm_b32", Category.INTEGER),
        ("ds_bpermute_b32", Category.SHUFFLE),
        ("ds_read2st64_b64", Category.SHARED),
        ("global_load_lds_dwordx4", Category.ASYNC_COPY),
        ("global_load_dwordx4", Category.LOAD),
        ("global_store_dwordx2", Category.STORE),
        ("s_waitcnt", Category.WAIT),
        ("s_add_u32", Category.UNIFORM),
    ],
)
def test_amdgcn_categories(op: str, category: Category) -> None:
    assert amdgcn.categorize(op) is category


def test_an_architecture_with_an_elder_of_its_encoding_is_relabelled() -> None:
    from attngen.machine_code.tools import as_elder

    def header(architecture: int, version: int = 8) -> bytes:
        binary = bytearray(64)
        binary[8], binary[48:52] = version, (0x09000002 | architecture << 8).to_bytes(4, "little")
        return bytes(binary)

    assert as_elder(header(103)) == header(100)
    assert as_elder(header(100)) is None
    assert as_elder(header(103, version=7)) is None
    assert as_elder(b"short") is None
