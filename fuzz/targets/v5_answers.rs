#![no_main]

sync_fuzz::fuzz!("v5_answers");
