//! Processor instructions whose answers the log carries.
#![expect(unsafe_code, reason = "rdtsc, rdtscp, xgetbv have no safe form; all processors have none in nix")]

use core::arch::x86_64;

/// The time-stamp counter.
#[must_use]
pub fn rdtsc() -> u64 {
    // SAFETY: this process has the time-stamp counter enabled (only tracees have it trapped).
    unsafe { x86_64::_rdtsc() }
}

/// The time-stamp counter and the value of TSC_AUX.
#[must_use]
pub fn rdtscp() -> (u64, u32) {
    let mut aux = 0;
    // SAFETY: as rdtsc; `aux` is a live local.
    let tsc = unsafe { x86_64::__rdtscp(&raw mut aux) };
    (tsc, aux)
}

/// CPUID: eax, ebx, ecx, edx.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let out = x86_64::__cpuid_count(leaf, subleaf);
    [out.eax, out.ebx, out.ecx, out.edx]
}

/// Extended control register 0, or 0 where the processor or kernel has none.
#[must_use]
pub fn xcr0() -> u64 {
    const OSXSAVE: u32 = 1 << 27;
    if cpuid(1, 0)[2] & OSXSAVE == 0 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that xgetbv works in user mode; it changes eax and edx alone.
    unsafe { core::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Lets this thread run on any processor that its process may use, whatever the thread that started it was bound to.
pub fn run_anywhere() {
    // SAFETY: all bits are a valid set; the kernel takes those of processors that are there and allowed.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        (0..libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(cpu, &mut all));
        // Bound as it was, it only runs later.
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const all);
    }
}
