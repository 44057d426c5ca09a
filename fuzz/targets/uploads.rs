#![no_main]

sync_fuzz::fuzz!("uploads");
