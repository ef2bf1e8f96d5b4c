//! The target `wire`; its body is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    appliance_fuzz::targets::run("wire", data);
});
