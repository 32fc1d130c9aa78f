//! The GNU C library's `malloc_trim(3)`.

#![allow(unsafe_code)]

use std::ffi::c_int;

// malloc.h
unsafe extern "C" {
    fn malloc_trim(pad: usize) -> c_int;
}

pub(super) fn trim() {
    // SAFETY: it takes any number, may be called from any thread at any time, and touches no memory
    // in use.
    unsafe { malloc_trim(0) };
}
