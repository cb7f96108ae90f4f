//! What values do: conversion, comparison, arithmetic, text, dates. Pure; no storage, no session.
//!
//! Invariant `typed-result`: an operation yields a value of exactly the type the binder announced for it.

pub mod arith;
pub mod compare;
pub mod convert;
pub mod temporal;
pub mod text;
pub mod xml;
