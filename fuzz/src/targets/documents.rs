//! JSON documents: manifest, plan, the guest's settings and instructions, runtime configuration, messages of the channel.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads the input as every kind of document. What is read is written in a form that reads to the same.
pub fn documents(data: &[u8]) -> bool {
    let manifest = document::<bundle::manifest::Manifest>(data);
    let plan = document::<bundle::plan::Plan>(data);
    let settings = document::<bundle::guest::Settings>(data);
    let boot = document::<bundle::boot::Boot>(data);
    let event = document::<bundle::channel::Event>(data);
    let request = document::<bundle::channel::Request>(data);
    let response = document::<bundle::channel::Response>(data);
    let change = document::<bundle::channel::Change>(data);
    let config = document::<engine::oci::Config>(data);
    manifest || plan || settings || boot || event || request || response || change || config
}

fn document<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> bool {
    let read = serde_json::from_slice::<T>(data).ok();
    if let Some(read) = &read {
        let written = serde_json::to_vec(read).expect("a document that was read can be written");
        let again: T = serde_json::from_slice(&written).expect("a document that was written can be read");
        assert_eq!(again, *read);
    }
    read.is_some()
}
