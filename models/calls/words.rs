//! [`Words`]: a serde serializer that writes a value as words, for the programs in `proofs/driver`.
//!
//! A number is a decimal, and a character is its number. An option is `-`, or `+` and its content.
//! A sequence or a map begins with its length, and an enum with the name of its variant. A struct
//! or a tuple is its fields, in the order of the Rust text.

use serde::{Serialize, Serializer, ser};
use std::fmt::{self, Display, Write as _};

/// A line of words.
#[derive(Default)]
pub(super) struct Words(pub(super) String);

impl Words {
    /// Appends one word.
    pub(super) fn word(&mut self, word: impl Display) -> fmt::Result {
        let space = if self.0.is_empty() { "" } else { " " };
        write!(self.0, "{space}{word}")
    }

    /// Appends a word and the words of a value.
    pub(super) fn variant(&mut self, word: &str, it: &impl Serialize) -> fmt::Result {
        self.word(word)?;
        it.serialize(self)
    }
}

macro_rules! words {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, it: $type) -> fmt::Result {
            self.word(it)
        })*
    };
}

/// Methods that begin something of several parts: with a word, if there is one to write.
macro_rules! beginnings {
    ($($method:ident($($name:ident: $type:ty),*) -> $parts:ident $(, $word:expr)?;)*) => {
        $(fn $method(self, $($name: $type),*) -> Result<Self::$parts, fmt::Error> {
            $(self.word($word)?;)?
            Ok(self)
        })*
    };
}

impl Serializer for &mut Words {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    words! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
    }

    fn serialize_char(self, it: char) -> fmt::Result {
        self.word(u32::from(it))
    }

    fn serialize_str(self, it: &str) -> fmt::Result {
        self.serialize_bytes(it.as_bytes())
    }

    fn serialize_bytes(self, it: &[u8]) -> fmt::Result {
        it.serialize(self)
    }

    fn serialize_none(self) -> fmt::Result {
        self.word('-')
    }

    fn serialize_some<T: Serialize + ?Sized>(self, it: &T) -> fmt::Result {
        self.word('+')?;
        it.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> fmt::Result {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> fmt::Result {
        self.word(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        it: &T,
    ) -> fmt::Result {
        it.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        it: &T,
    ) -> fmt::Result {
        self.word(variant)?;
        it.serialize(self)
    }

    beginnings! {
        // Without a length nobody could tell where it ends.
        serialize_seq(length: Option<usize>) -> SerializeSeq, length.ok_or(fmt::Error)?;
        serialize_map(length: Option<usize>) -> SerializeMap, length.ok_or(fmt::Error)?;
        serialize_tuple(_length: usize) -> SerializeTuple;
        serialize_tuple_struct(_name: &'static str, _length: usize) -> SerializeTupleStruct;
        serialize_struct(_name: &'static str, _length: usize) -> SerializeStruct;
        serialize_tuple_variant(
            _name: &'static str, _index: u32, variant: &'static str, _length: usize
        ) -> SerializeTupleVariant, variant;
        serialize_struct_variant(
            _name: &'static str, _index: u32, variant: &'static str, _length: usize
        ) -> SerializeStructVariant, variant;
    }
}

/// Implements the traits for the parts: each part is written after the one before.
macro_rules! parts {
    ($($trait:ident: $($method:ident($($key:ident)?)),+;)*) => {
        $(impl ser::$trait for &mut Words {
            type Ok = ();
            type Error = fmt::Error;

            $(fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: &'static str,)?
                it: &T,
            ) -> fmt::Result {
                it.serialize(&mut **self)
            })+

            fn end(self) -> fmt::Result {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(_key);
    SerializeStructVariant: serialize_field(_key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(Option<char>),
        Tuple(u8, bool),
        Struct { few: Vec<Shape>, none: () },
    }

    fn words(it: &impl Serialize) -> Result<String, fmt::Error> {
        let mut words = Words::default();
        it.serialize(&mut words).map(|()| words.0)
    }

    #[test]
    fn each_shape_has_its_words() {
        let few = vec![
            Shape::Unit,
            Shape::Newtype(None),
            Shape::Newtype(Some('x')),
            Shape::Tuple(7, true),
        ];
        let shape = Shape::Struct { few, none: () };
        let expected = "Struct 4 Unit Newtype - Newtype + 120 Tuple 7 true";
        assert_eq!(words(&shape).as_deref(), Ok(expected));
        let map = std::collections::BTreeMap::from([(-1, "ab"), (2, "")]);
        assert_eq!(words(&map).as_deref(), Ok("2 -1 2 97 98 2 0"));
    }

    #[test]
    fn a_sequence_of_unknown_length_is_refused() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..9).filter(|it| it % 2 == 0))
            }
        }
        assert_eq!(words(&Endless), Err(fmt::Error));
    }
}
