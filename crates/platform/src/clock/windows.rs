//! Windows: GetTickCount64 counts suspend, the unbiased interrupt time does not.

#![allow(unsafe_code)]

use std::time::Duration;

use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;

pub(super) fn since_boot() -> Duration {
    // SAFETY: it takes nothing and returns a number.
    Duration::from_millis(unsafe { GetTickCount64() })
}

pub(super) fn awake() -> Duration {
    let mut ticks = 0;
    // SAFETY: `ticks` is valid for the call. The call fails only for a null pointer.
    unsafe { QueryUnbiasedInterruptTime(&mut ticks) };
    // One tick is 100 ns.
    Duration::from_nanos(ticks.saturating_mul(100))
}
