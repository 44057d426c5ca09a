//! Error answers of the legacy server (`protocol-v5` §9).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of every answer that is not 2xx, if the server sends its usual one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V5Error {
    /// The error.
    pub error: V5ErrorBody,
}

/// The error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V5ErrorBody {
    /// A code such as `site_incorrect_password`; unknown codes are kept.
    pub code: String,
    /// The server's text.
    pub message: String,
    /// Further data of any kind.
    #[serde(default)]
    pub data: serde_json::Value,
}

impl V5ErrorBody {
    /// Code, message, and the table and record in the data, on one line. The rest of the data is left out, because it
    /// may be the content of a record.
    pub fn summary(&self) -> String {
        let named = |names| named(&self.data, names);
        let record = match (named(["tablename", "table"]), named(["recordid", "id"])) {
            (Some(table), Some(id)) => format!(" ({table} {id})"),
            (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
            (None, None) => String::new(),
        };
        let colon = if self.message.is_empty() || self.code.is_empty() { "" } else { ": " };
        format!("{}{colon}{}{record}", self.code, self.message)
    }
}

/// The first name or number under one of these keys, anywhere in the data.
fn named(data: &Value, names: [&str; 2]) -> Option<String> {
    let wanted = |key: &str| names.contains(&key.replace('_', "").to_ascii_lowercase().as_str());
    let text =
        |value: &Value| value.as_str().map(str::to_owned).or_else(|| value.is_number().then(|| value.to_string()));
    match data {
        Value::Object(fields) => {
            let here = fields.iter().filter(|(key, _)| wanted(key)).find_map(|(_, value)| text(value));
            here.or_else(|| fields.values().find_map(|value| named(value, names)))
        }
        Value::Array(parts) => parts.iter().find_map(|part| named(part, names)),
        _ => None,
    }
}

/// The error as some servers state it: with a part missing, or a number for a text.
#[derive(Deserialize)]
struct LooseError {
    error: LooseErrorBody,
}

#[derive(Deserialize)]
struct LooseErrorBody {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    data: Value,
}

impl V5Error {
    /// Reads the body of an answer, if it states an error: an object that has at least a code or a text. A bare text is what
    /// machines on the way send.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Ok(error) = serde_json::from_str(text) {
            return Some(error);
        }
        let LooseErrorBody { code, message, data } = serde_json::from_str::<LooseError>(text).ok()?.error;
        let text = |value: Value| match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let (code, message) = (text(code), text(message));
        let message = if message.is_empty() { data.as_str().unwrap_or_default().to_owned() } else { message };
        let says_something = !code.is_empty() || !message.is_empty();
        says_something.then_some(Self { error: V5ErrorBody { code, message, data } })
    }

    /// An error without data.
    pub fn new(code: &str, message: &str) -> Self {
        Self {
            error: V5ErrorBody { code: code.to_owned(), message: message.to_owned(), data: serde_json::Value::Null },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_table_and_record_and_no_content() {
        for (data, summary) in [
            (serde_json::json!({"table_name": "item_line", "record_ID": "TL1", "note": "x"}), "c: why (item_line TL1)"),
            (serde_json::json!({"tableName": "item_line"}), "c: why (item_line)"),
            (serde_json::json!({"recordId": 7}), "c: why (7)"),
            (serde_json::json!("free text"), "c: why"),
            (
                serde_json::json!([{"table_name": "item_line", "record_ID": "TL1"}, {"record_ID": "TL2"}]),
                "c: why (item_line TL1)",
            ),
            (serde_json::json!({"record": {"tableName": "item_line", "recordId": "TL1"}}), "c: why (item_line TL1)"),
        ] {
            let body = V5ErrorBody { code: "c".to_owned(), message: "why".to_owned(), data };
            assert_eq!(body.summary(), summary);
        }
        assert_eq!(V5Error::new("c", "").error.summary(), "c");
    }

    #[test]
    fn a_reason_is_read_although_a_part_of_it_is_missing() {
        let read = |text| V5Error::read(text).map(|answer| answer.error.summary());
        for (text, expected) in [
            (
                r#"{"error":{"message":"Site is being reset","data":{"table_name":"invoice","record_ID":"i"}}}"#,
                "Site is being reset (invoice i)",
            ),
            (r#"{"error":{"code":null,"message":"FK fails"}}"#, "FK fails"),
            (r#"{"error":{"code":17,"message":"x"}}"#, "17: x"),
            (r#"{"error":{"code":"site_locked"}}"#, "site_locked"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            [r#"{"error":"Bad Gateway"}"#, r#"{"error":{}}"#, r#"{"message":"Service Unavailable"}"#, "[]", "<html>"]
        {
            assert_eq!(read(text), None, "{text}: a machine on the way may have sent it");
        }
    }
}
