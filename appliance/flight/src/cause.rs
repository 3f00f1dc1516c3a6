//! Why things end or are refused: the enums that log, metric, API and plugin share.

use serde::{Deserialize, Serialize};

/// An enum whose values have one stable name each.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name used in metrics, JSON and logs.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

pub(crate) use reasons;

reasons! {
    /// Why an established IKE SA or Child SA ended.
    CloseCause {
        /// A liveness probe was retransmitted as DPD allows and never answered.
        DpdTimeout => "dpd_timeout",
        /// Another request of ours was retransmitted to the limit and never answered.
        RetransmitTimeout => "retransmit_timeout",
        /// The peer sent a DELETE.
        DeletedByPeer => "deleted_by_peer",
        /// The hard lifetime passed and nobody had rekeyed.
        Expired => "expired",
        /// A successor of the same device took over.
        Superseded => "superseded",
        /// Replaced by rekeying: same authentication, new keys.
        Rekeyed => "rekeyed",
        /// The losing one of two SAs that a simultaneous rekey made.
        RekeyCollision => "rekey_collision",
        /// An operator reset it.
        Admin => "admin",
        /// Hawser shuts down.
        Shutdown => "shutdown",
        /// The configuration no longer allows it.
        ConfigurationChanged => "configuration_changed",
        /// The peer broke the protocol in a way that ends the SA.
        PeerMisbehaved => "peer_misbehaved",
        /// The peer answered that it does not know the SA.
        UnknownToPeer => "unknown_to_peer",
        /// Its IKE SA ended, and it with it.
        IkeSaClosed => "ike_sa_closed",
        /// An inconsistency of our own.
        Internal => "internal",
    }
}

reasons! {
    /// Why a handshake (IKE_SA_INIT or IKE_AUTH) did not end in an established IKE SA, or a Child SA was refused.
    HandshakeFailure {
        /// No proposal of the initiator fits ours.
        NoProposalChosen => "no_proposal_chosen",
        /// The key exchange failed (bad public value).
        KeyExchangeFailed => "key_exchange_failed",
        /// The AUTH payload does not verify with any candidate secret, or no identity matched: alike from outside.
        AuthenticationFailed => "authentication_failed",
        /// The peer wants to authenticate by EAP, which is not supported.
        EapNotSupported => "eap_not_supported",
        /// The peer told us that authentication failed.
        RefusedByPeer => "refused_by_peer",
        /// The traffic selectors do not intersect with what the template allows.
        TsUnacceptable => "ts_unacceptable",
        /// The selectors are claimed by another living device.
        SelectorConflict => "selector_conflict",
        /// A default route, or a prefix over outer endpoints or headquarters' networks, without consent of the template.
        RouteRefused => "route_refused",
        /// Authorization refused the peer.
        NotAuthorized => "not_authorized",
        /// The half-open SA was not completed in time.
        Timeout => "timeout",
        /// The limit of half-open SAs was met.
        HalfOpenLimit => "half_open_limit",
        /// The peer needs a protocol feature that we refuse (unknown critical payload, major version).
        Incompatible => "incompatible",
        /// A message that makes no sense.
        InvalidMessage => "invalid_message",
        /// An inconsistency of our own.
        Internal => "internal",
    }
}

reasons! {
    /// Why a packet was dropped. One counter each.
    DropReason {
        /// Shorter than the headers it must have.
        TooShort => "too_short",
        /// A SPI that no SA here has.
        UnknownSpi => "unknown_spi",
        /// The integrity check failed.
        IntegrityFailed => "integrity_failed",
        /// A sequence number already seen.
        Replayed => "replayed",
        /// A sequence number below the replay window.
        OutsideWindow => "outside_window",
        /// Padding or next header after decryption make no sense.
        Malformed => "malformed",
        /// The decrypted packet is outside of the Child SA's traffic selectors (RFC 4301 5.2).
        SelectorMismatch => "selector_mismatch",
        /// A packet from the inside that no Child SA covers.
        NoChildSa => "no_child_sa",
        /// Too big for the path, and DF is set; an ICMP error went back.
        TooBig => "too_big",
        /// The SA's sequence numbers or byte limit are used up.
        SaExhausted => "sa_exhausted",
        /// Another shard's ring was full.
        RingFull => "ring_full",
        /// The outer socket took no more.
        SocketFull => "socket_full",
        /// The TUN device took no more.
        TunFull => "tun_full",
        /// Not an IP packet.
        NotIp => "not_ip",
        /// A NAT keepalive (RFC 3948 2.3): not an error, counted only.
        NatKeepalive => "nat_keepalive",
        /// An authentic packet of an SA that has ended.
        EndedSa => "ended_sa",
        /// Time to live used up.
        TtlExceeded => "ttl_exceeded",
        /// Met congestion on the way, and what it carries cannot be marked (RFC 6040 4.2).
        EcnCongestion => "ecn_congestion",
    }
}

reasons! {
    /// Why an IKE datagram was not processed. One counter each.
    MessageError {
        /// Shorter than an IKE header, or the length field disagrees with the datagram.
        BadLength => "bad_length",
        /// A major version other than 2.
        BadVersion => "bad_version",
        /// An exchange type that does not exist or does not fit the state.
        BadExchange => "bad_exchange",
        /// A SPI pair that no IKE SA here has.
        UnknownIkeSpi => "unknown_ike_spi",
        /// Flags that contradict the roles of the IKE SA.
        BadFlags => "bad_flags",
        /// A Message ID outside of the window.
        BadMessageId => "bad_message_id",
        /// A retransmission of a request that was answered already; the answer was sent again.
        Retransmission => "retransmission",
        /// A request whose answer is still being made.
        Pending => "pending",
        /// For an IKE SA whose keys are still being computed; held until they are.
        Early => "early",
        /// A payload that cannot be parsed.
        BadPayload => "bad_payload",
        /// An unknown payload with the critical bit.
        CriticalPayload => "critical_payload",
        /// A payload that this exchange does not allow, or one that is missing.
        PayloadRules => "payload_rules",
        /// The integrity check failed.
        IntegrityFailed => "integrity_failed",
        /// A fragment that is inconsistent, a duplicate, or one too many.
        BadFragment => "bad_fragment",
        /// A cookie was demanded and not (rightly) given.
        CookieRequired => "cookie_required",
        /// The rate of its source is above the limit.
        RateLimited => "rate_limited",
        /// A limit of half-open SAs is met.
        HalfOpenLimit => "half_open_limit",
    }
}
