/* The way in and out. Every trampoline of a call comes to `entry` with the server's registers; rcx is where it goes on afterwards, two
 * bytes before that is a `syscall` of its own. Nothing is changed but rcx and r11, the flags among what is kept, and nothing is
 * written below the server's stack pointer. */

#include "layout.h"

/* Sixteen words, from high to low: rsp, flags, rcx, r15-r12, rbp, rbx, r9, r8, r10, rdx, rsi, rdi, rax. Above them what only an
 * instruction needs (tsc.h): where to go on, the instruction's length, r11, rcx. */
#define FRAME (LAYOUT_CONTROL + LAYOUT_STACK_END - 160)
#define TSC_RCX (FRAME + 128)
#define TSC_R11 (FRAME + 136)
#define TSC_LENGTH (FRAME + 144)
#define TSC_ONWARD (FRAME + 152)

/* Trap, direction, alignment check. */
#define ODD_FLAGS 0x40500

/* The registers; then the frame, on the interceptor's own stack, is the argument of what is called. */
.macro save
    movq %rsp, FRAME + 120
    movl $(FRAME + 120), %esp
    pushfq
    cld
    pushq %rcx
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %rbp
    pushq %rbx
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rax
    movq %rsp, %rdi
.endm

/* Those that C may have changed; the others are as they were. */
.macro restore
    movq 0(%rsp), %rax
    movq 8(%rsp), %rdi
    movq 16(%rsp), %rsi
    movq 24(%rsp), %rdx
    movq 32(%rsp), %r10
    movq 40(%rsp), %r8
    movq 48(%rsp), %r9
.endm

/* The flags in edx, as popfq would set them, which is slow: overflow by an addition, the others by sahf. */
.macro set_flags
    movl %edx, %eax
    shrl $11, %eax
    andl $1, %eax
    movb %dl, %ah
    addb $0x7f, %al
    sahf
.endm

    .section .text.entry, "ax"
    /* Found by the tracer at the beginning of the code. */
    .quad entry
    .quad abandon
    .quad make_check
    .quad make_call
    .quad make_behind
    .quad FRAME
    .quad tsc_entry
    .balign 64

    .globl entry
entry:
    movl $0, TSC_LENGTH
    save
    call handle
    movq 112(%rsp), %r11
    testl %eax, %eax
    jz leave
    testl $ODD_FLAGS, %r11d
    jnz leave
    movl %r11d, %edx
    set_flags
    restore
    movq 104(%rsp), %rcx
    movq 120(%rsp), %rsp
    jmp *%rcx
leave:
    testl %eax, %eax
    popq %rax
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    popq %rbx
    popq %rbp
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    popq %rcx
    movq (%rsp), %r11
    jz outside
    popfq
    popq %rsp
    jmp *%rcx
outside:
    popfq
    popq %rsp
    leaq -2(%rcx), %r11
    jmp *%r11

/* An instruction instead of a call: the trampoline has put rcx into TSC_RCX and the instruction's address into rcx. All registers are kept
 * but those that the instruction changes. */
    .globl tsc_entry
tsc_entry:
    movq %r11, TSC_R11
    save
    call handle_tsc
    movl 112(%rsp), %edx
    testl $ODD_FLAGS, %edx
    jnz tsc_odd
    set_flags
tsc_leave:
    restore
    movq TSC_R11, %r11
    movq TSC_RCX, %rcx
    movq 120(%rsp), %rsp
    jmp *TSC_ONWARD
tsc_odd:
    pushq 112(%rsp)
    popfq
    jmp tsc_leave

/* From anywhere before the call has been made: nothing has happened, it is made outside. */
abandon:
    movl $FRAME, %esp
    xorl %eax, %eax
    jmp leave

/* long make(const struct frame *): makes the server's call. A signal that is held is seen by the comparison; one that comes
 * between it and the call is seen by the tracer, which moves the process to `abandon`. */
    .globl make
make:
    movq 0(%rdi), %rax
    movq 16(%rdi), %rsi
    movq 24(%rdi), %rdx
    movq 32(%rdi), %r10
    movq 40(%rdi), %r8
    movq 48(%rdi), %r9
    movq 8(%rdi), %rdi
    cmpl $0, LAYOUT_CONTROL + LAYOUT_PENDING
make_check:
    jne abandon
make_call:
    syscall
make_behind:
    ret

/* long own(long number, long a, long b, long c, long d): a call of the interceptor's. */
    .globl own
own:
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rdx, %rsi
    movq %rcx, %rdx
    movq %r8, %r10
    jmp make_call

    .section .note.GNU-stack, "", @progbits
