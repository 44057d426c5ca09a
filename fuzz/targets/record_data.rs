#![no_main]

sync_fuzz::fuzz!("record_data");
