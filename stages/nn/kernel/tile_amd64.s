#include "textflag.h"

// One row of the tile: A's element times sixteen of B, each product rounded
// before it is added. Multiply and add, not FMA: portable Go does the same.
#define ROW(element, low, high) \
	VBROADCASTSS element, Y14 \
	VMULPS Y12, Y14, Y15 \
	VADDPS Y15, low, low \
	VMULPS Y13, Y14, Y14 \
	VADDPS Y14, high, high

#define BIAS(low, high) \
	VADDPS Y12, low, low \
	VADDPS Y13, high, high

// x unless x <= 0, so that a NaN stays one.
#define RELU(x) \
	VCMPPS $0x16, Y12, x, Y13 \
	VANDPS Y13, x, x

#define LOAD(low, high) \
	VMOVUPS (AX), low \
	VMOVUPS 32(AX), high \
	ADDQ R12, AX

#define STORE(low, high) \
	VMOVUPS low, (DX) \
	VMOVUPS high, 32(DX) \
	ADDQ R12, DX

// func tileAVX2(t *tileArgs)
//
// The offsets are those of the fields of tileArgs.
TEXT ·tileAVX2(SB), NOSPLIT, $0-8
	MOVQ t+0(FP), BX
	MOVQ 0(BX), CX   // k
	MOVQ 8(BX), SI   // a
	MOVQ 16(BX), R8  // aRow
	MOVQ 24(BX), R10 // aCol
	MOVQ 32(BX), DI  // b
	MOVQ 40(BX), R11 // bRow
	MOVQ 48(BX), DX  // c
	MOVQ 56(BX), R12 // cRow
	MOVQ 64(BX), R13 // bias
	MOVQ 72(BX), R14 // flags
	SHLQ $2, R8
	SHLQ $2, R10
	SHLQ $2, R11
	SHLQ $2, R12
	LEAQ (R8)(R8*2), R9
	ADDQ SI, R9
	TESTQ $1, R14
	JZ   zero
	MOVQ DX, AX
	LOAD(Y0, Y1)
	LOAD(Y2, Y3)
	LOAD(Y4, Y5)
	LOAD(Y6, Y7)
	LOAD(Y8, Y9)
	LOAD(Y10, Y11)
	JMP  start
zero:
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
start:
	TESTQ CX, CX
	JZ   finish
loop:
	VMOVUPS (DI), Y12
	VMOVUPS 32(DI), Y13
	ROW((SI), Y0, Y1)
	ROW((SI)(R8*1), Y2, Y3)
	ROW((SI)(R8*2), Y4, Y5)
	ROW((R9), Y6, Y7)
	ROW((R9)(R8*1), Y8, Y9)
	ROW((R9)(R8*2), Y10, Y11)
	ADDQ R10, SI
	ADDQ R10, R9
	ADDQ R11, DI
	DECQ CX
	JNZ  loop
finish:
	TESTQ R13, R13
	JZ   store
	VMOVUPS (R13), Y12
	VMOVUPS 32(R13), Y13
	BIAS(Y0, Y1)
	BIAS(Y2, Y3)
	BIAS(Y4, Y5)
	BIAS(Y6, Y7)
	BIAS(Y8, Y9)
	BIAS(Y10, Y11)
	TESTQ $2, R14
	JZ   store
	VXORPS Y12, Y12, Y12
	RELU(Y0)
	RELU(Y1)
	RELU(Y2)
	RELU(Y3)
	RELU(Y4)
	RELU(Y5)
	RELU(Y6)
	RELU(Y7)
	RELU(Y8)
	RELU(Y9)
	RELU(Y10)
	RELU(Y11)
store:
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	STORE(Y8, Y9)
	STORE(Y10, Y11)
	VZEROUPPER
	RET
