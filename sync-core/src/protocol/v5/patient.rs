//! Patients at the legacy server: finding them, and linking one to a store (`protocol-v5` §11).

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::record::{NameId, RecordData, RecordId, StoreId};

/// The wildcard before and after a part of a name.
const ANYTHING: char = '@';

/// The search for a patient. `None` matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientQuery {
    /// A part of the first name.
    pub first_name: Option<String>,
    /// A part of the last name.
    pub last_name: Option<String>,
    /// The date of birth, as 2011-03-31.
    pub date_of_birth: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The most patients to return; the server's limit if `None`.
    pub limit: Option<u32>,
}

impl PatientQuery {
    /// True if the search is empty.
    pub fn is_empty(&self) -> bool {
        Self { limit: None, ..self.clone() } == Self::default()
    }

    /// The query part of an address.
    pub fn to_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, part) in [("first_name", &self.first_name), ("last_name", &self.last_name)] {
            if let Some(part) = part {
                query.append_pair(key, &format!("{ANYTHING}{part}{ANYTHING}"));
            }
        }
        for (key, whole) in [("dob", &self.date_of_birth), ("code", &self.code)] {
            if let Some(whole) = whole {
                query.append_pair(key, whole);
            }
        }
        query.append_pair("is_deleted", "false");
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        query.append_pair("offset", "0");
        query.finish()
    }

    /// Reads the query of an address. Empty values match anything.
    pub fn from_query(query: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let text = Some(value.trim_matches(ANYTHING).trim().to_owned()).filter(|text| !text.is_empty());
            match key.as_ref() {
                "first_name" => read.first_name = text,
                "last_name" => read.last_name = text,
                "dob" => read.date_of_birth = text,
                "code" => read.code = text,
                "limit" => read.limit = text.and_then(|text| text.parse().ok()),
                _ => {}
            }
        }
        read
    }

    /// True if a patient with this record of `name` matches. Capital letters do not matter.
    pub fn is_for(&self, patient: &RecordData) -> bool {
        let Some(found) = FoundPatient::read(patient) else { return false };
        let holds = |wanted: &Option<String>, has: &str| {
            wanted.as_ref().is_none_or(|wanted| has.to_lowercase().contains(&wanted.to_lowercase()))
        };
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| has == wanted);
        // The date may be followed by a time.
        let born = self.date_of_birth.as_ref().is_none_or(|day| found.date_of_birth.starts_with(day.as_str()));
        holds(&self.first_name, &found.first_name)
            && holds(&self.last_name, &found.last_name)
            && is(&self.code, &found.code)
            && born
    }
}

/// A patient found by the legacy server. Missing values are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundPatient {
    /// The patient's name id.
    pub id: NameId,
    /// The whole name.
    pub name: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The code.
    pub code: String,
    /// The date of birth, as the server writes it.
    pub date_of_birth: String,
}

impl FoundPatient {
    /// Reads an element of an answer; `None` if it has no id.
    pub fn read(element: &RecordData) -> Option<Self> {
        let fields = element.fields()?;
        let text = |keys: [&str; 2]| keys.iter().find_map(|key| fields.text(key)).unwrap_or_default().into_owned();
        let id = text(["ID", "id"]);
        (!id.is_empty()).then(|| Self {
            id: NameId::new(id),
            name: text(["name", "name"]),
            first_name: text(["first", "first_name"]),
            last_name: text(["last", "last_name"]),
            code: text(["code", "code"]),
            date_of_birth: text(["date_of_birth", "dob"]),
        })
    }
}

/// Asks for a name to be visible in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJoin {
    /// The name.
    #[serde(rename = "name_ID")]
    pub name_id: NameId,
    /// The store.
    #[serde(rename = "store_ID")]
    pub store_id: StoreId,
}

/// The join, new or existing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeJoin {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: RecordId,
    /// The name, if the answer has it.
    #[serde(default, rename = "name_ID", skip_serializing_if = "Option::is_none")]
    pub name_id: Option<NameId>,
    /// The store, if the answer has it.
    #[serde(default, rename = "store_ID", skip_serializing_if = "Option::is_none")]
    pub store_id: Option<StoreId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(json: &str) -> RecordData {
        RecordData::parse(json).unwrap()
    }

    #[test]
    fn a_query_reads_back_as_it_was_written() {
        let some = |text: &str| Some(text.to_owned());
        let query = PatientQuery {
            first_name: some("Ana María"),
            last_name: some("O'Neil & Sons"),
            date_of_birth: some("2011-03-31"),
            code: some("P+1"),
            limit: Some(50),
        };
        assert_eq!(PatientQuery::from_query(&query.to_query()), query);
        assert!(PatientQuery::from_query("first_name=%40%40&last_name=&limit=5&offset=0").is_empty());
        assert_eq!(PatientQuery::default().to_query(), "is_deleted=false&offset=0");
    }

    #[test]
    fn who_is_meant() {
        let ana =
            patient(r#"{"ID":"p","first":"Ana","last":"Diallo","code":"P1","date_of_birth":"2011-03-31T00:00:00"}"#);
        for (query, expected) in [
            ("first_name=@an@", true),
            ("last_name=@DIALLO@&first_name=@a@", true),
            ("last_name=@diallo@&first_name=@b@", false),
            ("dob=2011-03-31", true),
            ("dob=2011-03-30", false),
            ("code=P1", true),
            ("code=P", false),
        ] {
            assert_eq!(PatientQuery::from_query(query).is_for(&ana), expected, "{query}");
        }
        assert!(!PatientQuery::default().is_for(&patient(r#"{"first":"nobody's"}"#)));
    }
}
