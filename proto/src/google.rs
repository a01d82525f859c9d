//! The `google.*` packages: the well-known types, and the generated `google.rpc` and `google.api`.

pub use crate::generated::google::{api, rpc};

pub mod protobuf {
    //! The well-known types.
    //!
    //! [`Any`] is ours, because that of prost-types holds a `Vec<u8>`; the rest is that of prost-types, with its conversions
    //! from and to `std::time`, strings and numbers, and with a `BTreeMap` in [`Struct`]. The wrappers are aliases: the field
    //! `google.protobuf.UInt32Value max_connections` is `Option<UInt32Value>`, which is `Option<u32>`.

    use bytes::Bytes;
    pub use prost_types::value::Kind as ValueKind;
    pub use prost_types::{Duration, FieldMask, ListValue, NullValue, Struct, Timestamp, Value};

    /// `google.protobuf.BoolValue`.
    pub type BoolValue = bool;
    /// `google.protobuf.DoubleValue`.
    pub type DoubleValue = f64;
    /// `google.protobuf.FloatValue`.
    pub type FloatValue = f32;
    /// `google.protobuf.Int32Value`.
    pub type Int32Value = i32;
    /// `google.protobuf.Int64Value`.
    pub type Int64Value = i64;
    /// `google.protobuf.StringValue`.
    pub type StringValue = String;
    /// `google.protobuf.UInt32Value`.
    pub type UInt32Value = u32;
    /// `google.protobuf.UInt64Value`.
    pub type UInt64Value = u64;
    /// `google.protobuf.Empty`.
    pub type Empty = ();

    /// `google.protobuf.Any`: an encoded message and the URL of its type. Cloning shares the bytes.
    #[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
    pub struct Any {
        /// `type.googleapis.com/` and the full name of the message.
        #[prost(string, tag = "1")]
        pub type_url: String,
        /// The encoded message.
        #[prost(bytes = "bytes", tag = "2")]
        pub value: Bytes,
    }

    impl prost::Name for Any {
        const PACKAGE: &'static str = "google.protobuf";
        const NAME: &'static str = "Any";

        fn type_url() -> String {
            "type.googleapis.com/google.protobuf.Any".to_owned()
        }
    }
}
