//! Initial inputs: the captured traffic, the examples of the record types, and recipes.

use std::sync::OnceLock;

use sync_core::record::RecordData;
use sync_core::transport::Method;

use super::state::KEYS;
use crate::capture::{Capture, captures, fixtures};
use crate::world::data;

/// The example of each record type, by table.
pub(super) fn examples() -> &'static [(String, RecordData)] {
    static EXAMPLES: OnceLock<Vec<(String, RecordData)>> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        let text = std::fs::read_to_string(fixtures().join("record-types.json")).expect("a readable file");
        let types: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        let example = |kind: &serde_json::Value| {
            let example = kind["example"].to_string().replace("D77F67339BF8400886D009178F4962E1", "STORE_SITE_B");
            (kind["table_name"].as_str().expect("a name").to_owned(), data(&example))
        };
        types.iter().map(example).collect()
    })
}

/// An example as an element of a batch.
fn element(cursor: usize, table: &str, data: &RecordData) -> String {
    let fields = data.fields().expect("an object");
    let id = fields.text("id").or_else(|| fields.text("ID")).expect("an id");
    format!(
        r#"{{"cursor":{cursor},"record":{{"tableName":"{table}","recordId":"{id}","action":"Update","recordData":{}}}}}"#,
        data.as_str()
    )
}

fn batch(elements: &[String], end: usize, is_last: bool) -> String {
    let (total, records) = (elements.len(), elements.join(","));
    format!(r#"{{"end_cursor":{end},"total_records":{total},"records":[{records}],"is_last_batch":{is_last}}}"#)
}

/// The examples as elements, a few at a time.
fn elements() -> Vec<Vec<String>> {
    let all: Vec<String> =
        examples().iter().enumerate().map(|(at, (table, data))| element(100 + at, table, data)).collect();
    all.chunks(5).map(<[String]>::to_vec).collect()
}

fn answer(question: &str, capture: &Capture) -> Vec<u8> {
    let kind = capture.content_type().unwrap_or_default();
    format!("{question} {} {kind}\n{}", capture.status, capture.response.as_str()).into_bytes()
}

pub(super) fn v6_answers() -> Vec<Vec<u8>> {
    let question = |capture: &Capture| match capture.stem() {
        stem if stem.starts_with("pull") => Some("pull"),
        stem if stem.starts_with("push") => Some("push"),
        stem if stem.starts_with("site-status") => Some("status"),
        stem if stem.starts_with("patient-pull") => Some("pull"),
        _ => None,
    };
    let captured = captures(&["v6", "v6-2.16"]);
    let mut seeds: Vec<Vec<u8>> =
        captured.iter().filter_map(|capture| Some(answer(question(capture)?, capture))).collect();
    for (at, elements) in elements().iter().enumerate() {
        let last = at % 2 == 0;
        let once = if last { "once" } else { "" };
        let body = batch(elements, 100 + 5 * at + 4, last);
        let restored = if at % 3 == 0 { "restored\n%%\n" } else { "" };
        seeds.push(format!("{restored}pull 200 application/json {once}\n{{\"data\":{body}}}").into_bytes());
    }
    for text in [
        "pull 200 application/json\n{\"data\":{\"end_cursor\":3,\"total_records\":1,\"records\":[{\"cursor\":3,\"record\":{\"tableName\":\"asset_class\",\"recordId\":\"x\",\"action\":\"Update\",\"recordData\":{\"id\":\"x\",\"name\":\"n\"}}}],\"is_last_batch\":false}}",
        "pull 200 application/json once\n{\"data\":{\"end_cursor\":9,\"total_records\":2,\"records\":[{\"cursor\":8,\"record\":{\"tableName\":\"asset\",\"recordId\":\"edit\",\"action\":\"Delete\"}},{\"cursor\":9,\"record\":{\"tableName\":\"asset_class\",\"recordId\":\"before\",\"action\":\"Delete\",\"recordData\":null}}],\"is_last_batch\":true}}",
        "pull 200 application/json once\n{\"data\":{\"end_cursor\":0,\"total_records\":0,\"records\":[],\"is_last_batch\":true}}",
        "restored\n%%\npull 200 application/json once\n{\"data\":{\"end_cursor\":90,\"total_records\":2,\"records\":[{\"cursor\":80,\"record\":{\"tableName\":\"asset\",\"recordId\":\"edit\",\"action\":\"Delete\"}},{\"cursor\":90,\"record\":{\"tableName\":\"asset\",\"recordId\":\"edit\",\"action\":\"Update\",\"recordData\":{\"id\":\"edit\"}}}],\"is_last_batch\":true,\"lost_history\":[{\"after\":2,\"before\":3}]}}",
        "restored\n%%\npull 200 application/json\n{\"error\":\"integrationInProgress\"}",
        "restored\n%%\npull 200 application/json\n{\"data\":{\"end_cursor\":0,\"total_records\":0,\"records\":[],\"is_last_batch\":true}}",
        "pull 200 application/json\n{\"data\":{\"end_cursor\":7,\"total_records\":0,\"records\":[],\"is_last_batch\":false}}",
        "push 200 application/json\n{\"data\":{\"records_pushed\":1}}\n%%\nstatus 200 application/json\n{\"data\":{\"is_integrating\":true}}",
        "pull 200 application/json once\n{\"data\":{\"end_cursor\":0,\"total_records\":0,\"records\":[],\"is_last_batch\":true,\"lost_history\":[{\"after\":1,\"before\":900}]}}",
        "push 200 application/json\n{\"data\":{\"records_pushed\":1,\"lost_history\":[{\"after\":0,\"before\":9},{\"after\":900,\"before\":3}]}}",
        "pull 200 application/json once\n{\"data\":{\"end_cursor\":12,\"total_records\":0,\"records\":[],\"is_last_batch\":true,\"lost_history\":[{\"after\":0,\"before\":12}]}}",
        "push 200 application/json\n{\"data\":{\"records_pushed\":1}}\n%%\npull 200 application/json once\n{\"data\":{\"end_cursor\":40,\"total_records\":0,\"records\":[],\"is_last_batch\":true,\"lost_history\":[{\"after\":0,\"before\":40}]}}",
        "pull 200 application/json once\n{\"data\":{\"end_cursor\":3,\"total_records\":0,\"records\":[],\"is_last_batch\":true,\"lost_history\":[{\"after\":1,\"before\":30}]}}\n%%\npull 200 application/json\n{\"data\":{\"end_cursor\":3,\"total_records\":1,\"records\":[{\"cursor\":3,\"record\":{\"tableName\":\"asset_class\",\"recordId\":\"x\",\"action\":\"Update\",\"recordData\":{\"id\":\"x\",\"name\":\"n\"}}}],\"is_last_batch\":true,\"lost_history\":[{\"after\":1,\"before\":30},{\"after\":2,\"before\":50}]}}",
        "push 200 application/json once\n{\"data\":{\"records_pushed\":1,\"lost_history\":[{\"after\":0,\"before\":900}]}}\n%%\npull 200 application/json\n{\"data\":{\"end_cursor\":4,\"total_records\":0,\"records\":[],\"is_last_batch\":true,\"lost_history\":[{\"after\":18446744073709551615,\"before\":9223372036854775806},{\"after\":5,\"before\":9223372036854775807}]}}",
        "pull 200 application/json\n{\"data\":{\"end_cursor\":9,\"total_records\":1,\"records\":[{\"cursor\":9,\"record\":{\"tableName\":\"asset_class\",\"recordId\":\"x\",\"action\":\"Update\",\"recordData\":{\"id\":\"x\",\"name\":\"a\u{fdd0}b\"}}}],\"is_last_batch\":true,\"lost_history\":{\"of\":\"others\"}}}",
        "push 413 text/plain\nJSON payload is larger than allowed\n%%\npull broken once",
        "push 200 application/json\n{\"error\":\"integrationInProgress\"}\n%%\npull cut",
        "pull 301 location=http://elsewhere/\n%%\nstatus timeout\n%%\npush 500 text/html once\n<html>",
        "pull 200 application/json\n{\"error\":{\"legacyServerError\":{\"code\":\"site_auth_timeout\",\"message\":\"m\",\"data\":null}}}",
        "pull 200 application/json\n{\"error\":{\"cannotConnectToLegacyServer\":\"x\"}}\n%%\npush 405\n",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

pub(super) fn v5_answers() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures(&["v5"]) {
        match capture.stem() {
            stem if stem.starts_with("site") => seeds.push(answer("site", &capture)),
            stem if stem.starts_with("central") => {
                seeds.push(answer("records once", &capture));
                seeds.push(answer("records", &capture));
            }
            _ => {}
        }
    }
    let ours = r#"{"id":"UUID-site_b","siteId":2,"code":"b","name":"site_b","initialisationStatus":"completed","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"http://central.example.org","mSupplyCentralSiteId":1}"#;
    let store = r#"{"maxCursor":900,"data":[{"ID":850,"tableName":"store","recordId":"S","action":"update","recordData":{"ID":"S","name_ID":"N","sync_id_remote_site":2}},{"ID":900,"tableName":"name","recordId":"N","action":"insert","recordData":{"ID":"N","name":"n","type":"store"}},{"ID":900,"tableName":"item","recordId":"I","action":"delete"}]}"#;
    for (at, (action, table)) in [
        ("update", "asset"),
        ("insert", "item"),
        ("delete", "name"),
        ("merge", "name"),
        ("Update", "name_store_join"),
        ("update", "hologram"),
    ]
    .into_iter()
    .enumerate()
    {
        let data = format!(r#"{{"ID":"R{at}","id":"R{at}","name_ID":"N","store_ID":"STORE_SITE_B"}}"#);
        seeds.push(
            format!(
                r#"records 200 application/json once
{{"maxCursor":{0},"data":[{{"ID":{0},"tableName":"{table}","recordId":"R{at}","action":"{action}","recordData":{data}}}]}}"#,
                700 + at
            )
            .into_bytes(),
        );
    }
    for text in [
        format!("site 200 application/json\n{ours}"),
        format!("site 200 application/json\n{ours}\n%%\nrecords 200 application/json once\n{store}"),
        "site 401 application/json\n{\"error\":{\"code\":\"site_incorrect_password\",\"message\":\"m\",\"data\":null}}"
            .to_owned(),
        "site 500 application/json\n{\"error\":{\"code\":\"sync_is_running\",\"message\":\"m\"}}\n%%\nrecords 404\n"
            .to_owned(),
        "site 200 text/html\n<html>log in</html>".to_owned(),
        "site broken\n%%\nrecords timeout".to_owned(),
        "records 200 application/json\n{\"maxCursor\":18446744073709551615,\"data\":[]}".to_owned(),
        "records 200 application/json once\n{\"maxCursor\":100000,\"data\":[]}\n%%\nrecords 200\n{\"maxCursor\":1}"
            .to_owned(),
    ] {
        seeds.push(text.into_bytes());
    }
    seeds
}

/// The credentials of site B.
const CREDENTIALS: &str = r#"{"serverUrl":"","username":"site_b","passwordSha256":"d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1","siteUuid":"hardware-0001","appVersion":"2.19.0","appName":"Open mSupply Desktop","syncVersion":"14"}"#;
const BASIC: &str =
    "Basic c2l0ZV9iOmQ3NGZmMGVlOGRhM2I5ODA2YjE4Yzg3N2RiZjI5YmJkZTUwYjViZDhlNGRhZDdhM2E3MjUwMDBmZWI4MmU4ZjE=";

fn push_body(elements: &[String]) -> String {
    format!(r#"{{"batch":{},"syncV5Settings":{CREDENTIALS},"syncV6Version":5}}"#, batch(elements, 200, true))
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures(&["v6", "v6-2.16", "v5"]) {
        let method = if capture.method == Method::Get { "GET" } else { "POST" };
        let mut text = format!("{method} {}\n", capture.path);
        for (name, value) in
            capture.headers.iter().filter(|(name, _)| capture.folder() == "v5" || name.contains("type"))
        {
            let value = if name == "authorization" { BASIC } else { value };
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str(&format!("\n{}", capture.request.as_str().replace("site_a", "site_b")));
        seeds.push(text.into_bytes());
    }
    for elements in elements() {
        let body = push_body(&elements);
        seeds.push(format!("POST /central/sync/push\n\n{body}").into_bytes());
        // The same from a site that pushed it later too and was restored: a loss before, a loss beyond, absurd numbers.
        let later = body.replace("\"cursor\":1", "\"cursor\":7");
        for lost in [
            r#"[{"after":50,"before":400}]"#,
            r#"[{"after":900,"before":901},{"after":7,"before":5}]"#,
            r#"[{"after":18446744073709551615,"before":9223372036854775807}]"#,
        ] {
            let key = format!("\"lost_history\":{lost},\"is_last_batch\"");
            let restored = body.replace("\"is_last_batch\"", &key);
            seeds.push(
                format!("POST /central/sync/push\n\n{later}\n%%\nPOST /central/sync/push\n\n{restored}").into_bytes(),
            );
        }
    }
    let pull = format!(
        "POST /central/sync/pull\n\n{{\"cursor\":0,\"batchSize\":3,\"syncV5Settings\":{CREDENTIALS},\"isInitialised\":false,\"syncV6Version\":5}}"
    );
    seeds.push(pull.clone().into_bytes());
    let join = format!(r#"{{"id":"j","nameId":"p","storeId":"STORE_SITE_B","syncV5Settings":{CREDENTIALS}}}"#);
    seeds.push(format!("POST /central/name-store-join\n\n{join}").into_bytes());
    let delete = r#"{"cursor":1,"record":{"tableName":"asset","recordId":"of_b","action":"Delete"}}"#.to_owned();
    let take = r#"{"cursor":2,"record":{"tableName":"asset","recordId":"of_c","action":"Update","recordData":{"id":"of_c","store_id":"STORE_SITE_B","created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00"}}}"#.to_owned();
    let class = r#"{"cursor":3,"record":{"tableName":"asset_class","recordId":"class","action":"Delete"}}"#.to_owned();
    let log = r#"{"cursor":4,"record":{"tableName":"asset_log","recordId":"l","action":"Insert","recordData":{"id":"l","asset_id":"of_c","user_id":"u","log_datetime":"2025-01-01T00:00:00"}}}"#.to_owned();
    let bad = push_body(&[delete, take, class, log]);
    seeds.push(format!("POST /central/sync/push\n\n{bad}\n%%\n{pull}").into_bytes());
    let marked = r#"{"cursor":5,"record":{"tableName":"asset","recordId":"of_b","action":"Update","recordData":{"id":"of_b","notes":"a\u{fdd0}b","store_id":"STORE_SITE_B","created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00"}}}"#.replace(r"\u{fdd0}", "\u{fdd0}");
    seeds.push(format!("POST /central/sync/push\n\n{}", push_body(&[marked])).into_bytes());
    let unfinished = bad.replace("\"is_last_batch\":true", "\"is_last_batch\":false");
    seeds.push(
        format!("POST /central/sync/push\n\n{unfinished}\n%%\nPOST /central/sync/push\n\n{}", push_body(&[]))
            .into_bytes(),
    );
    seeds
}

pub(super) fn record_data() -> Vec<Vec<u8>> {
    let older = [
        ("vaccination", "patient_id", "patient_link_id"),
        ("item_variant", "manufacturer_id", "manufacturer_link_id"),
        ("rnr_form", "name_id", "name_link_id"),
    ];
    let as_input = |table: &str, json: &str| format!("{table}\n{json}").into_bytes();
    let mut seeds: Vec<Vec<u8>> = examples().iter().map(|(table, data)| as_input(table, data.as_str())).collect();
    for (table, new, old) in older {
        let (_, example) = examples().iter().find(|(name, _)| name == table).expect("an example");
        seeds.push(as_input(table, &example.as_str().replace(&format!("\"{new}\""), &format!("\"{old}\""))));
    }
    seeds.push(as_input("asset_class", "{\"id\":\"x\",\"name\":\"a\u{fdd0}b\"}"));
    seeds.push(as_input(
        "asset_class",
        "{\"id\":\"x\u{fdd0}\",\"name\":\"\\ufdd0\u{fdd0}\",\"\u{fdd0}\":\"\\\\ufdd0\"}",
    ));
    seeds
}

pub(super) fn gzip() -> Vec<Vec<u8>> {
    let body = push_body(&elements()[0]);
    let mut seeds = Vec::new();
    for recipe in [
        "",
        "members=2",
        "members=40 flip=30",
        "fill=100",
        "fill=1000",
        "cut=1",
        "cut=8",
        "cut=100",
        "tail=1",
        "tail=300",
        "flip=0",
        "flip=3",
        "flip=12",
        "flip=200",
        "twice",
        "twice fill=500",
        "coding=br",
        "coding=identity",
        "coding=GZIP",
    ] {
        seeds.push(format!("{recipe}\n{body}").into_bytes());
    }
    seeds.push(b"raw\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec());
    seeds.push(b"raw\n\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\x03\xff\xff".to_vec());
    seeds
}

pub(super) fn database() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "ours",
        "other",
        "other\nbyte 103 0\nbyte 104 0",
        "dropped",
        "newer",
        "claimed",
        "crashed",
        "crashed\nwbyte 40 7\nwcut 5000",
        "ours\ncut 1000",
        "ours\ncut 0",
        "other\ncut 0",
        "ours\nfill 4096 100000 90",
        "ours\nbyte 18 9",
        "ours\nbyte 104 0",
        "ours\ncopy 4096 8192 4096",
        "other\nbyte 71 83",
        "ours\nfill 60 12 0",
        "file\nSQLite format 3\0",
        "ours\nbyte 56 2",
        "ours\nfill 100 8 255",
        "ours\nbyte 28 255",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let values = ["text", "-1", "9223372036854775807", "1.5", "null", "x'ff00'", "{}", "{\"ID\":5}"];
    for (at, (table, column)) in [
        ("sync_record", "data"),
        ("sync_record", "cursor"),
        ("sync_record", "record_id"),
        ("sync_record", "audience"),
        ("sync_record", "changed_at"),
        ("sync_change", "action"),
        ("sync_change", "cursor"),
        ("sync_buffer", "source"),
        ("sync_buffer", "state"),
        ("sync_buffer", "received_at"),
        ("sync_buffer", "data"),
        ("sync_buffer", "sequence"),
        ("sync_state", "value"),
        ("sync_state", "key"),
        ("sync_log", "report"),
        ("sync_log", "started_at"),
        ("sync_site", "secret"),
        ("sync_site", "site_id"),
        ("sync_integration", "site_id"),
        ("sync_integration", "requested_at"),
    ]
    .into_iter()
    .enumerate()
    {
        seeds.push(format!("ours\nset {table} {column} {}", values[at % values.len()]).into_bytes());
    }
    seeds
}

pub(super) fn state() -> Vec<Vec<u8>> {
    let values = [
        "",
        "abc",
        "-1",
        "0",
        "1",
        "5",
        "9223372036854775806",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "central",
        "remote",
        "http://x",
        "https://u:p@h/",
        "ftp://h",
        "http://[",
        "\\n",
        "2025-01-01T00:00:00.000Z",
    ];
    let line = |(at, name): (usize, &&str)| {
        format!("{name}={}\n{name}={}", values[(at + 7) % values.len()], values[at % values.len()])
    };
    let mut seeds: Vec<Vec<u8>> =
        KEYS.iter().chain(KEYS).chain(KEYS).enumerate().map(line).map(String::into_bytes).collect();
    let marks: String = (0..60).map(|at| format!("{} {}\\n", 1000 - 10 * at, at)).collect();
    seeds.push(format!("push_marks={marks}").into_bytes());
    seeds.push(b"resend=0 5\nlost=[{\"after\":1,\"before\":9}]\nrecovering_from=3".to_vec());
    for lost in ["0 5\\n", "0 9223372036854775806", "5 0", "7 18446744073709551615\\n1 2", "1 2\\n\\n3 4", "1", "[]"] {
        seeds.push(format!("lost={lost}").into_bytes());
        seeds.push(format!("lost={lost}\nrecovered=3\nrecovering_from=9223372036854775806\npull_own=1").into_bytes());
        seeds.push(format!("resend={lost}").into_bytes());
        seeds.push(format!("push_marks={lost}").into_bytes());
    }
    seeds.push(b"resend=5 0\npush_cursor_v6=1\ninitialised_at=".to_vec());
    seeds
}
