//! Ids that know the type of their record, so that one of another type is not taken for them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::field_value::{FieldKind, FieldValue};
use super::id::{RecordId, StoreId};

/// The id of a record of type `T`. Each type has a name for it: `AssetId` is `TypedId<Asset>`.
///
/// It is made from a text, or from the [`RecordId`] of a document; the compiler refuses the id of a store or of another type.
///
/// ```
/// use sync_core::record::{AssetCategory, AssetCategoryId, AssetClass, AssetClassId};
/// # use std::sync::Arc;
/// # use sync_core::{Replica, storage::MemoryStorage};
/// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
/// # replica.site_registry()?;
/// let class = AssetClass { id: AssetClassId::generate(), name: "Cold chain".into(), ..AssetClass::default() };
/// let fridges = AssetCategory {
///     id: AssetCategoryId::generate(),
///     name: "Fridges".into(),
///     class_id: class.id.clone(), // not class.name, nor the id of a category
///     ..AssetCategory::default()
/// };
/// replica.records().of().put(&class)?;
/// replica.records().of().put(&fridges)?;
/// assert!(replica.records().of::<AssetClass>().get(&fridges.class_id)?.is_some());
/// # Ok::<(), sync_core::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// # use sync_core::record::{Asset, StoreId};
/// fn read(replica: &sync_core::Replica, store: &StoreId) -> sync_core::Result<Option<Asset>> {
///     replica.records().of::<Asset>().get(store) // a store is no asset
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use sync_core::record::{Asset, AssetClassId};
/// fn read(replica: &sync_core::Replica, class: AssetClassId) -> sync_core::Result<Option<Asset>> {
///     replica.records().of::<Asset>().get(class) // nor is a class
/// }
/// ```
pub struct TypedId<T> {
    id: RecordId,
    kind: PhantomData<fn() -> T>,
}

impl<T> TypedId<T> {
    /// Takes the text unchanged and unchecked.
    pub fn new(text: impl Into<String>) -> Self {
        RecordId::new(text).into()
    }

    /// An id for a new record, as [`RecordId::generate`] makes it.
    pub fn generate() -> Self {
        RecordId::generate().into()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.id.as_str()
    }

    /// The same id for the calls that take the name of a table.
    pub fn as_record_id(&self) -> &RecordId {
        &self.id
    }
}

// By hand, because a derived implementation would ask the same of the record.

impl<T> Clone for TypedId<T> {
    fn clone(&self) -> Self {
        self.id.clone().into()
    }
}

impl<T> Default for TypedId<T> {
    /// An empty text, which no record has.
    fn default() -> Self {
        Self::new("")
    }
}

impl<T> PartialEq for TypedId<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for TypedId<T> {}

impl<T> PartialOrd for TypedId<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for TypedId<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl<T> Hash for TypedId<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Display for TypedId<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<T> fmt::Debug for TypedId<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

impl<T> Serialize for TypedId<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for TypedId<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RecordId::deserialize(deserializer).map(Self::from)
    }
}

macro_rules! made_from {
    ($($from:ty),*) => {$(
        impl<T> From<$from> for TypedId<T> {
            fn from(id: $from) -> Self {
                Self { id: id.into(), kind: PhantomData }
            }
        }
    )*};
}
made_from!(RecordId, &RecordId, &str, String, &String);

impl<T> From<&Self> for TypedId<T> {
    fn from(same: &Self) -> Self {
        same.clone()
    }
}

macro_rules! made_to {
    ($($to:ty),*) => {$(
        impl<T> From<TypedId<T>> for $to {
            fn from(id: TypedId<T>) -> Self {
                id.id.into()
            }
        }

        impl<T> From<&TypedId<T>> for $to {
            fn from(id: &TypedId<T>) -> Self {
                (&id.id).into()
            }
        }
    )*};
}
made_to!(RecordId, String);

impl<T> AsRef<str> for TypedId<T> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<T> PartialEq<str> for TypedId<T> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl<T> PartialEq<&str> for TypedId<T> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

macro_rules! id_field_value {
    ($([$($type:ident: $bound:lifetime)?] $id:ty),* $(,)?) => {$(
        impl<$($type: $bound)?> FieldValue for $id {
            const KIND: FieldKind = FieldKind::Text;

            fn read(raw: &RawValue) -> Option<Self> {
                String::read(raw).map(Self::from)
            }

            fn write(&self) -> Box<RawValue> {
                String::from(self).write()
            }
        }
    )*};
}
id_field_value!([T: 'static] TypedId<T>, [] RecordId, [] StoreId);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Asset, AssetId, RecordData, TypedRecord as _};

    #[test]
    fn a_typed_id_is_its_text_everywhere() {
        let id = AssetId::new("fridge-1");
        assert_eq!((id.to_string(), format!("{id:?}")), ("fridge-1".to_owned(), r#""fridge-1""#.to_owned()));
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""fridge-1""#);
        assert_eq!(serde_json::from_str::<AssetId>(r#""fridge-1""#).unwrap(), id);
        assert!(serde_json::from_str::<AssetId>("1").is_err());
        assert_eq!((RecordId::from(&id), String::from(id.clone())), (RecordId::new("fridge-1"), "fridge-1".to_owned()));
        assert!(id == "fridge-1" && id > AssetId::default() && *id.as_record_id() == *"fridge-1");
        assert_eq!(AssetId::generate().as_str().len(), 36);
    }

    #[test]
    fn an_id_in_a_record_is_a_text_and_nothing_else() {
        let data = |store: &str| {
            let at = "2026-11-23T08:00:00";
            let text =
                format!(r#"{{"id":"a","store_id":{store},"created_datetime":"{at}","modified_datetime":"{at}"}}"#);
            RecordData::parse(text).unwrap()
        };
        let asset = Asset::read(&data(r#""s""#)).unwrap();
        assert_eq!((asset.id.as_str(), asset.store_id), ("a", Some(StoreId::new("s"))));
        assert_eq!(Asset::read(&data("null")).unwrap().store_id, None);
        assert_eq!(Asset::read(&data("5")).unwrap_err().path, "$.store_id");
    }
}
