//! What `wit-bindgen` makes of `sdk/wit`, once for all worlds, and each world's own description.
//!
//! Plugins use the re-exports of [`crate::dpd`], [`crate::authorization`] and [`crate::log`]; the
//! macros of [`crate::export`] pick the interfaces of their world and its description.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::cast_lossless,
    clippy::semicolon_if_nothing_returned,
    reason = "generated; what the fields mean stands in sdk/wit/hawser.wit"
)]

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package hawser:sdk;
        world every-hook {
            import hawser:plugin/host@0.1.0;
            export hawser:plugin/plugin@0.1.0;
            export hawser:plugin/dpd@0.1.0;
            export hawser:plugin/authorization@0.1.0;
            export hawser:plugin/log@0.1.0;
        }
    ",
    world: "hawser:sdk/every-hook",
    additional_derives: [PartialEq],
    generate_all,
    pub_export_macro: true,
    export_macro_name: "__export_every_hook",
    default_bindings_module: "hawser_sdk::bindings",
});

// `DPD_POLICY`, `PEER_AUTHORIZATION` and `LOG_FORMAT`: what a linker needs to know of each world.
include!(concat!(env!("OUT_DIR"), "/worlds.rs"));
