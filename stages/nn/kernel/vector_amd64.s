#include "textflag.h"

// func reluGradientAVX2(out, h, gradient *float32, n int)
//
// n is a positive multiple of 8.
TEXT ·reluGradientAVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ h+8(FP), SI
	MOVQ gradient+16(FP), DX
	MOVQ n+24(FP), CX
	VXORPS Y0, Y0, Y0
reluLoop:
	VMOVUPS (SI), Y1
	VCMPPS $0x1E, Y0, Y1, Y1 // h > 0, false for NaN
	VANDPS (DX), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JG   reluLoop
	VZEROUPPER
	RET

// func columnSumsAVX2(out, m *float32, rows, cols, n int)
//
// The first n columns, a positive multiple of 8, of rows of cols.
TEXT ·columnSumsAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ m+8(FP), SI
	MOVQ rows+16(FP), R8
	MOVQ cols+24(FP), R9
	MOVQ n+32(FP), CX
	SHLQ $2, R9
columnLoop:
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	MOVQ SI, AX
	MOVQ R8, BX
	CMPQ CX, $16
	JGE  wide
narrowRow:
	VADDPS (AX), Y0, Y0
	ADDQ R9, AX
	DECQ BX
	JNZ  narrowRow
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JG   columnLoop
	VZEROUPPER
	RET
wide:
	VADDPS (AX), Y0, Y0
	VADDPS 32(AX), Y1, Y1
	ADDQ R9, AX
	DECQ BX
	JNZ  wide
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JG   columnLoop
	VZEROUPPER
	RET

// func addAVX2(out, a, b *float32, n int)
//
// n is a positive multiple of 8.
TEXT ·addAVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ n+24(FP), CX
addLoop:
	VMOVUPS (SI), Y0
	VADDPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JG   addLoop
	VZEROUPPER
	RET

// func adamAVX2(p, gradient, m, v *float32, n int, s *AdamStep)
//
// n is a positive multiple of 8. The offsets are those of AdamStep's fields.
TEXT ·adamAVX2(SB), NOSPLIT, $0-48
	MOVQ p+0(FP), DI
	MOVQ gradient+8(FP), SI
	MOVQ m+16(FP), R8
	MOVQ v+24(FP), R9
	MOVQ n+32(FP), CX
	MOVQ s+40(FP), BX
	VBROADCASTSS 0(BX), Y7   // Beta1
	VBROADCASTSS 4(BX), Y8   // Rest1
	VBROADCASTSS 8(BX), Y9   // Beta2
	VBROADCASTSS 12(BX), Y10 // Rest2
	VBROADCASTSS 16(BX), Y11 // Rate
	VBROADCASTSS 20(BX), Y12 // Correction
	VBROADCASTSS 24(BX), Y13 // Epsilon
	VBROADCASTSS 28(BX), Y14 // Decay
	VBROADCASTSS 32(BX), Y15 // Shrink
adamLoop:
	VMOVUPS (DI), Y0
	VMULPS Y0, Y14, Y1
	VADDPS (SI), Y1, Y1      // g + decay·p
	VMULPS (R8), Y7, Y2
	VMULPS Y1, Y8, Y3
	VADDPS Y3, Y2, Y2
	VMOVUPS Y2, (R8)         // m
	VMULPS Y1, Y1, Y1
	VMULPS Y1, Y10, Y1
	VMULPS (R9), Y9, Y3
	VADDPS Y1, Y3, Y3
	VMOVUPS Y3, (R9)         // v
	VSQRTPS Y3, Y3
	VMULPS Y12, Y3, Y3
	VADDPS Y13, Y3, Y3
	VMULPS Y2, Y11, Y2
	VDIVPS Y3, Y2, Y2        // change
	VMULPS Y0, Y15, Y1
	VADDPS Y2, Y1, Y1
	VSUBPS Y1, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $32, R9
	SUBQ $8, CX
	JG   adamLoop
	VZEROUPPER
	RET

// func sgdAVX2(p, gradient, v *float32, n int, s *SGDStep)
//
// n is a positive multiple of 8. The offsets are those of SGDStep's fields.
TEXT ·sgdAVX2(SB), NOSPLIT, $0-40
	MOVQ p+0(FP), DI
	MOVQ gradient+8(FP), SI
	MOVQ v+16(FP), R8
	MOVQ n+24(FP), CX
	MOVQ s+32(FP), BX
	VBROADCASTSS 0(BX), Y8   // Rate
	VBROADCASTSS 4(BX), Y9   // Momentum
	VBROADCASTSS 8(BX), Y10  // Decay
	MOVBLZX 12(BX), AX       // Nesterov
sgdLoop:
	VMOVUPS (DI), Y0
	VMULPS Y0, Y10, Y1
	VADDPS (SI), Y1, Y1      // g + decay·p
	VMULPS (R8), Y9, Y2
	VADDPS Y1, Y2, Y2
	VMOVUPS Y2, (R8)         // v
	TESTL AX, AX
	JZ   sgdApply
	VMULPS Y2, Y9, Y2
	VADDPS Y1, Y2, Y2        // g + momentum·v
sgdApply:
	VMULPS Y2, Y8, Y2
	VSUBPS Y2, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, R8
	SUBQ $8, CX
	JG   sgdLoop
	VZEROUPPER
	RET

// func maxBlocksAVX2(out, x *float32, c, blocks, step int)
//
// c is a positive multiple of 8, blocks is positive.
TEXT ·maxBlocksAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ c+16(FP), R8
	MOVQ blocks+24(FP), CX
	MOVQ step+32(FP), R9
	SHLQ $2, R9
maxBlock:
	MOVQ SI, AX
	MOVQ R8, BX
maxLoop:
	VMOVUPS (AX), Y0
	VMOVUPS (DI), Y1
	VCMPPS $0x1E, Y1, Y0, Y2   // x > out
	VCMPPS $0x03, Y0, Y0, Y3   // or x is NaN
	VORPS Y3, Y2, Y2
	VBLENDVPS Y2, Y0, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, AX
	ADDQ $32, DI
	SUBQ $8, BX
	JG   maxLoop
	ADDQ R9, SI
	DECQ CX
	JNZ  maxBlock
	VZEROUPPER
	RET

// func routeBlocksAVX2(dst, x, out, rest *float32, c, blocks, step int)
//
// c is a positive multiple of 8, blocks is positive.
TEXT ·routeBlocksAVX2(SB), NOSPLIT, $0-56
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ out+16(FP), DX
	MOVQ rest+24(FP), R10
	MOVQ c+32(FP), R8
	MOVQ blocks+40(FP), CX
	MOVQ step+48(FP), R9
	SHLQ $2, R9
routeBlock:
	XORQ AX, AX
	MOVQ R8, BX
routeLoop:
	VMOVUPS (SI)(AX*1), Y0
	VCMPPS $0x00, (DX), Y0, Y0 // x == out
	VMOVUPS (R10), Y1
	VANDPS Y1, Y0, Y2
	VANDNPS Y1, Y0, Y1
	VMOVUPS Y1, (R10)
	VMOVUPS (DI)(AX*1), Y3
	VADDPS Y2, Y3, Y2
	VBLENDVPS Y0, Y2, Y3, Y3
	VMOVUPS Y3, (DI)(AX*1)
	ADDQ $32, AX
	ADDQ $32, DX
	ADDQ $32, R10
	SUBQ $8, BX
	JG   routeLoop
	ADDQ R9, SI
	ADDQ R9, DI
	DECQ CX
	JNZ  routeBlock
	VZEROUPPER
	RET

// func reluAVX2(x *float32, n int)
//
// n is a positive multiple of 8.
TEXT ·reluAVX2(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VXORPS Y0, Y0, Y0
reluOnly:
	VMOVUPS (DI), Y1
	VCMPPS $0x16, Y0, Y1, Y2 // not x <= 0
	VANDPS Y2, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	SUBQ $8, CX
	JG   reluOnly
	VZEROUPPER
	RET
