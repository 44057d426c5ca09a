#![no_main]

sync_fuzz::fuzz!("v6_answers");
