//! The world against independent witnesses.
