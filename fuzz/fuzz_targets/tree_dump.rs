//! The target `tree_dump`; its body is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    appliance_fuzz::targets::run("tree_dump", data);
});
