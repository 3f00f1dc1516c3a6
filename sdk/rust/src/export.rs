//! From a plugin's type to a component: one macro for each world. Outside of WebAssembly they
//! expand to nothing, so that the same crate is tested natively.

/// A component of the world `dpd-policy` from a [`DpdPolicy`](crate::DpdPolicy).
#[macro_export]
macro_rules! export_dpd_policy {
    ($plugin:ty) => {
        $crate::__component!($plugin, DPD_POLICY, dpd, {
            #[unsafe(export_name = "hawser:plugin/dpd@0.1.0#decide")]
            unsafe extern "C" fn decide(
                octets: *const u8,
                octets_length: usize,
                evidence: *const u8,
                evidence_length: usize,
            ) -> *const u8 {
                let (octets, evidence) = ((octets, octets_length), (evidence, evidence_length));
                // SAFETY: the host calls with what it lowered.
                INSTANCE.with_borrow_mut(|i| unsafe { abi::dpd::decide(i, octets, evidence) })
            }
        });
    };
}

/// A component of the world `peer-authorization` from a
/// [`PeerAuthorization`](crate::PeerAuthorization).
#[macro_export]
macro_rules! export_peer_authorization {
    ($plugin:ty) => {
        $crate::__component!($plugin, PEER_AUTHORIZATION, authorization, {
            #[unsafe(export_name = "hawser:plugin/authorization@0.1.0#authorize")]
            unsafe extern "C" fn authorize(request: *const u8) -> *const u8 {
                // SAFETY: the host calls with what it lowered.
                INSTANCE.with_borrow_mut(|i| unsafe { abi::authorization::authorize(i, request) })
            }
        });
    };
}

/// A component of the world `log-format` from a [`LogFormat`](crate::LogFormat).
#[macro_export]
macro_rules! export_log_format {
    ($plugin:ty) => {
        $crate::__component!($plugin, LOG_FORMAT, log, {
            #[unsafe(export_name = "hawser:plugin/log@0.1.0#format")]
            unsafe extern "C" fn format(
                texts: *const u8,
                texts_length: usize,
                fields: *const u8,
                fields_length: usize,
                events: *const u8,
                events_length: usize,
            ) -> *const u8 {
                let (texts, fields) = ((texts, texts_length), (fields, fields_length));
                let events = (events, events_length);
                // SAFETY: the host calls with what it lowered.
                INSTANCE.with_borrow_mut(|i| unsafe { abi::log::format(i, texts, fields, events) })
            }
        });
    };
}

/// What the three worlds share: the description, the settings, and the one value of an instance.
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($plugin:ty, $world:ident, $hook:ident, { $function:item }) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::abi;

            // A linker puts it beside the code, and it makes the module a component of the world.
            #[unsafe(link_section = concat!("component-type:hawser:", stringify!($world)))]
            static WORLD: [u8; abi::$world.len()] = abi::$world;

            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<
                    abi::plugin::Instance<$plugin, abi::$hook::Answer>,
                > = const { abi::plugin::Instance::new(abi::$hook::Answer::new()) };
            }

            #[unsafe(export_name = "hawser:plugin/plugin@0.1.0#describe")]
            extern "C" fn describe() -> *const u8 {
                INSTANCE.with_borrow_mut(|i| i.describe())
            }

            #[unsafe(export_name = "hawser:plugin/plugin@0.1.0#init")]
            unsafe extern "C" fn init(settings: *const u8, length: usize) -> *const u8 {
                // SAFETY: the host calls with what it lowered.
                INSTANCE.with_borrow_mut(|i| unsafe { i.init(settings, length) })
            }

            $function
        };
    };
}
