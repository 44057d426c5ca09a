//! The declaration of an error: once, with all its texts.

use super::{Detail, ErrorClass};

/// The declaration of an error, or of a finding of a diagnosis, without its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    /// The stable code.
    pub code: &'static str,
    /// Who must act.
    pub class: ErrorClass,
    /// The code of Open mSupply's sync log that means the same.
    pub upstream: Option<&'static str>,
    /// The message. `{name}` stands for a detail.
    pub message: &'static str,
    /// The usual cause.
    pub cause: &'static str,
    /// The advice.
    pub advice: &'static str,
}

/// The details of a message, by the names in its template.
pub(crate) type Details = Vec<(&'static str, Detail)>;

/// A field of an error. Its type decides whether it is a detail of the message or the cause.
#[diagnostic::on_unimplemented(
    message = "a field of an error cannot have the type `{Self}`",
    note = "the types are `String`, `&'static str`, `u16`, `u32`, `u64`, `i64`, `usize`, `Detail`, `Server`, `TableName`, `RecordId`, \
            `SiteId`, `Cause` and `Option<Cause>`"
)]
pub(crate) trait ErrorField: Sized {
    /// The same field for a clone of the error.
    fn copy(&self) -> Self;

    /// Adds the field to the details of the message.
    fn add_to(&self, details: &mut Details, field: &'static str);

    /// The field as the cause of the error.
    fn as_cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

/// Types whose text is the detail.
macro_rules! shown_fields {
    ($($kind:ty),*) => {$(
        impl $crate::text::ErrorField for $kind {
            fn copy(&self) -> Self {
                Clone::clone(self)
            }

            fn add_to(&self, details: &mut $crate::text::Details, field: &'static str) {
                details.push((field, $crate::text::Detail::Plain(self.to_string())));
            }
        }
    )*};
}
pub(crate) use shown_fields;

shown_fields!(String, &'static str, u16, u32, u64, i64, usize);

impl ErrorField for Detail {
    fn copy(&self) -> Self {
        self.clone()
    }

    fn add_to(&self, details: &mut Details, field: &'static str) {
        details.push((field, self.clone()));
    }
}

/// Declares an enumeration of errors: for each its fields with an example, its code and class, and its texts.
///
/// Every field is a detail of the message under its name, or the cause of the error, as its type decides
/// ([`ErrorField`]); `as FUNCTION` makes the detail differently. After `..` there may be one variant whose errors are
/// declared elsewhere: the module after the arrow has `declared` and `details`, which take the fields, and `examples`.
macro_rules! declare_errors {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident {
                    $(fields: { $($field:ident: $type:ty $(as $shown:path)? = $example:expr),* $(,)? },)?
                    code: $code:literal, class: $class:ident,
                    $(upstream: $upstream:literal,)?
                    message: $message:literal,
                    cause: $cause:literal,
                    advice: $advice:literal,
                }
            )*
            $(..
                $(#[$other_doc:meta])*
                $other:ident { $($part:ident: $part_type:ty),* } => $module:ident
            )?
        }
    ) => {
        $(#[$meta])*
        pub enum $enum {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("Code `", $code, "`, class [`", stringify!($class), "`](crate::ErrorClass::", stringify!($class), ").")]
                $variant $({ $($field: $type),* })?,
            )*
            $($(#[$other_doc])* $other { $($part: $part_type),* },)?
        }

        impl $enum {
            /// The declarations, in order; without those that are declared elsewhere.
            pub(crate) const DECLARED: &'static [$crate::text::Declared] = &[$(
                $crate::text::declare_errors!(@declared $code $class ($($upstream)?) $message, $cause, $advice)
            ),*];

            /// The declaration of this one.
            pub(crate) fn declared(&self) -> &'static $crate::text::Declared {
                match self {
                    $(Self::$variant { .. } => {
                        &$crate::text::declare_errors!(@declared $code $class ($($upstream)?) $message, $cause, $advice)
                    })*
                    $(Self::$other { $($part),* } => $module::declared($($part),*),)?
                }
            }

            /// The details of the message, by name.
            pub(crate) fn details(&self) -> $crate::text::Details {
                let mut details = $crate::text::Details::new();
                match self {
                    $(Self::$variant { $($($field),*)? } => {
                        $($($crate::text::declare_errors!(@detail details $field $($shown)?);)*)?
                    })*
                    $(Self::$other { $($part),* } => details.extend($module::details($($part),*)),)?
                }
                details
            }

            /// An example of each, in the order of declaration.
            pub(crate) fn examples() -> Vec<Self> {
                let here = vec![$(Self::$variant { $($($field: $example),*)? }),*];
                here.into_iter()$(.chain($module::examples()))?.collect()
            }
        }

        impl Clone for $enum {
            fn clone(&self) -> Self {
                match self {
                    $(Self::$variant { $($($field),*)? } => Self::$variant {
                        $($($field: $crate::text::ErrorField::copy($field)),*)?
                    },)*
                    $(Self::$other { $($part),* } => Self::$other { $($part: $part.clone()),* },)?
                }
            }
        }

        impl std::error::Error for $enum {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $(Self::$variant { $($($field),*)? } => {
                        None$($(.or_else(|| $crate::text::ErrorField::as_cause($field)))*)?
                    })*
                    $(Self::$other { $($part: _),* } => None,)?
                }
            }
        }
    };
    (@declared $code:literal $class:ident ($($upstream:literal)?) $message:literal, $cause:literal, $advice:literal) => {
        $crate::text::Declared {
            code: $code,
            class: $crate::text::ErrorClass::$class,
            upstream: $crate::text::declare_errors!(@option $($upstream)?),
            message: $message,
            cause: $cause,
            advice: $advice,
        }
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@detail $details:ident $field:ident) => {
        $crate::text::ErrorField::add_to($field, &mut $details, stringify!($field))
    };
    (@detail $details:ident $field:ident $shown:path) => {
        $details.push((stringify!($field), $shown($field).into()))
    };
}
pub(crate) use declare_errors;
