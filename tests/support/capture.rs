//! Captured exchanges, read from `fixtures/traffic`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use sync_core::record::Fields;
use sync_core::transport::{HttpRequest, Method};

/// One exchange between real servers.
#[derive(Debug)]
pub struct Capture {
    /// Folder and stem, such as `v6/push-one-record`.
    pub name: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers of the request, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body of the request.
    pub request: Body,
    /// Status of the response.
    pub status: u16,
    /// Headers of the response, names in lower case.
    pub response_headers: Vec<(String, String)>,
    /// Body of the response.
    pub response: Body,
}

/// A captured body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// JSON text without blanks, its keys in the order they came.
    Json(String),
    /// Anything else.
    Text(String),
}

impl Body {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Json(text) | Self::Text(text) => text,
        }
    }

    /// The text with a blank after each comma and colon, which is how the small client wrote its JSON: positions in
    /// error messages fit this spelling.
    pub fn spaced(&self) -> String {
        match self {
            Self::Json(text) => respace(text, true),
            Self::Text(text) => text.clone(),
        }
    }

    /// The JSON text; panics for another body.
    pub fn json(&self) -> &str {
        match self {
            Self::Json(text) => text,
            Self::Text(text) => panic!("not JSON: {text}"),
        }
    }
}

impl Capture {
    /// The folder: `v5`, `v6` or `v6-2.16`.
    pub fn folder(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// The name of the file without its extension.
    pub fn stem(&self) -> &str {
        self.name.split('/').nth(1).unwrap_or_default()
    }

    /// The path without its query and without the slash before it.
    pub fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default().trim_start_matches('/')
    }

    /// A header of the request, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The content type of the response.
    pub fn content_type(&self) -> Option<&str> {
        self.response_headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
    }

    /// The request as a server receives it.
    pub fn http_request(&self) -> HttpRequest {
        let body = self.request.spaced().into_bytes();
        HttpRequest { method: self.method, url: self.path.clone(), headers: self.headers.clone(), body }
    }
}

/// The folder with all fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Every captured exchange of these folders, by name.
pub fn captures(folders: &[&str]) -> Vec<Capture> {
    let mut found = Vec::new();
    for folder in folders {
        let path = fixtures().join("traffic").join(folder);
        let stem_of = |entry: std::io::Result<fs::DirEntry>| {
            let file = entry.expect("a readable entry").path();
            assert!(file.extension().is_some_and(|ending| ending == "json"), "{} is no exchange", file.display());
            file.file_stem().and_then(|stem| stem.to_str()).expect("a plain file name").to_owned()
        };
        let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut stems: Vec<String> = entries.map(stem_of).collect();
        stems.sort();
        for stem in stems {
            let text = fs::read_to_string(path.join(format!("{stem}.json"))).expect("a readable file");
            found.push(
                parse(format!("{folder}/{stem}"), &text).unwrap_or_else(|| panic!("{folder}/{stem} is no exchange")),
            );
        }
    }
    found
}

fn parse(name: String, text: &str) -> Option<Capture> {
    let exchange = Fields::parse(text)?;
    let request = Fields::parse(exchange.get("request")?.get())?;
    let response = Fields::parse(exchange.get("response")?.get())?;
    let method = match request.text("method")?.as_ref() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        other => panic!("{name}: method {other} is not covered"),
    };
    Some(Capture {
        method,
        path: request.text("path")?.into_owned(),
        headers: headers(request.get("headers")?)?,
        request: body(request.get("body")?)?,
        status: response.get("status")?.get().parse().ok()?,
        response_headers: headers(response.get("headers")?)?,
        response: body(response.get("body")?)?,
        name,
    })
}

fn headers(raw: &RawValue) -> Option<Vec<(String, String)>> {
    let fields = Fields::parse(raw.get())?;
    Some(
        fields.iter().map(|(key, _)| (key.to_lowercase(), fields.text(key).unwrap_or_default().into_owned())).collect(),
    )
}

fn body(raw: &RawValue) -> Option<Body> {
    let fields = Fields::parse(raw.get())?;
    match fields.get("json") {
        Some(json) => Some(Body::Json(respace(json.get(), false))),
        None => fields.text("text").map(|text| Body::Text(text.into_owned())),
    }
}

/// JSON text with no blanks outside strings or, if wished, with one after each comma and colon. The order of keys and the
/// spelling of numbers stay, which a parsed value would lose.
pub fn respace(json: &str, blanks: bool) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if !c.is_ascii_whitespace() {
            out.push(c);
            in_string = c == '"';
            if blanks && matches!(c, ',' | ':') {
                out.push(' ');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_outside_strings_only() {
        let json = "{ \"a b\" : [ 1.10,\n\t\"x , \\\" : y\\\\\" , {} ] }";
        assert_eq!(respace(json, false), r#"{"a b":[1.10,"x , \" : y\\",{}]}"#);
        assert_eq!(respace(json, true), r#"{"a b": [1.10, "x , \" : y\\", {}]}"#);
    }
}
