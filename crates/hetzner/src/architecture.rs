//! Processors of servers and images.

open_enum! {
    /// Processor architecture.
    Architecture {
        X86 = "x86",
        Arm = "arm",
    }
}

open_enum! {
    /// Whether a server shares its processors with others.
    CpuType {
        Shared = "shared",
        Dedicated = "dedicated",
    }
}
