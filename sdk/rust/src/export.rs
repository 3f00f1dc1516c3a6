//! From a plugin's type to a component: one macro for each world. Outside of WebAssembly they
//! expand to nothing, so that the same crate is tested natively.

/// A component of the world `dpd-policy` from a [`DpdPolicy`](crate::DpdPolicy).
#[macro_export]
macro_rules! export_dpd_policy {
    ($plugin:ty) => {
        $crate::__component!(
            $plugin,
            DPD_POLICY,
            dpd,
            __export_hawser_plugin_dpd_0_1_0_cabi,
            {
                fn decide(
                    evidence: ::std::vec::Vec<$crate::dpd::Evidence>,
                ) -> ::std::vec::Vec<$crate::dpd::Decision> {
                    with(|plugin| {
                        let decide = |e| $crate::DpdPolicy::decide(plugin, e);
                        evidence.iter().map(decide).collect()
                    })
                }
            }
        );
    };
}

/// A component of the world `peer-authorization` from a
/// [`PeerAuthorization`](crate::PeerAuthorization).
#[macro_export]
macro_rules! export_peer_authorization {
    ($plugin:ty) => {
        $crate::__component!(
            $plugin,
            PEER_AUTHORIZATION,
            authorization,
            __export_hawser_plugin_authorization_0_1_0_cabi,
            {
                fn authorize(
                    request: $crate::authorization::Request,
                ) -> $crate::authorization::Verdict {
                    with(|plugin| $crate::PeerAuthorization::authorize(plugin, &request))
                }
            }
        );
    };
}

/// A component of the world `log-format` from a [`LogFormat`](crate::LogFormat).
#[macro_export]
macro_rules! export_log_format {
    ($plugin:ty) => {
        $crate::__component!(
            $plugin,
            LOG_FORMAT,
            log,
            __export_hawser_plugin_log_0_1_0_cabi,
            {
                fn format(
                    events: ::std::vec::Vec<$crate::log::Event>,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    with(|plugin| {
                        let mut lines = ::std::vec::Vec::with_capacity(256 * events.len());
                        for event in &events {
                            $crate::LogFormat::format(plugin, event, &mut lines)?;
                        }
                        Ok(lines)
                    })
                }
            }
        );
    };
}

/// What the three worlds share: the description, the settings, and the one value of an instance.
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($plugin:ty, $world:ident, $hook:ident, $export:ident, { $($function:item)* }) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::exports::hawser::plugin as interface;

            // A linker puts it beside the code, and it makes the module a component of the world.
            #[unsafe(link_section = concat!("component-type:hawser:", stringify!($world)))]
            static WORLD: [u8; $crate::bindings::$world.len()] = $crate::bindings::$world;

            struct Component;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            fn with<T>(call: impl FnOnce(&mut $plugin) -> T) -> T {
                PLUGIN.with_borrow_mut(|plugin| {
                    call(plugin.as_mut().expect("`init` comes before every decision"))
                })
            }

            impl interface::plugin::Guest for Component {
                fn describe() -> interface::plugin::Description {
                    let about = <$plugin as $crate::Plugin>::ABOUT;
                    interface::plugin::Description {
                        name: about.name.into(),
                        version: about.version.into(),
                        summary: about.summary.into(),
                        settings_schema: about.settings_schema.into(),
                    }
                }

                fn init(
                    settings: ::std::string::String,
                ) -> ::std::result::Result<(), interface::plugin::SettingsError> {
                    match $crate::__start(&settings) {
                        Ok(plugin) => Ok(PLUGIN.set(Some(plugin))),
                        Err(e) => Err(interface::plugin::SettingsError {
                            path: e.path,
                            message: e.message,
                        }),
                    }
                }
            }

            impl interface::$hook::Guest for Component {
                $($function)*
            }

            $crate::__export_hawser_plugin_plugin_0_1_0_cabi!(
                Component with_types_in $crate::bindings::exports::hawser::plugin::plugin
            );
            $crate::$export!(
                Component with_types_in $crate::bindings::exports::hawser::plugin::$hook
            );
        };
    };
}
