#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_codec::fuzzing::decode(data));
