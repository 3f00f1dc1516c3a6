//! The numbers of IANA's "Internet Key Exchange Version 2 (IKEv2) Parameters". Unknown ones are kept as they came.

use std::fmt;

pub use crate::algorithms::{
    encr_transform, esn_transform, integ_transform, ke_from_group, ke_group, ke_transform,
    prf_transform,
};

/// One registry: an enum with conversion from and to the wire. A row is `Variant = number, "NAME", "what it means";`.
macro_rules! registry {
    (
        $(#[$meta:meta])*
        $name:ident: $wire:ty, $from:ident, $to:ident;
        $($variant:ident = $number:literal, $label:literal, $doc:literal;)+
        $(=> $unknown:ident($range:pat), $unknown_doc:literal;)+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $(#[doc = concat!("`", $label, "`: ", $doc)] $variant,)+
            $(#[doc = $unknown_doc] $unknown($wire),)+
        }

        impl $name {
            /// The value of a number on the wire (RFC 7296 section 3).
            #[must_use]
            pub const fn $from(number: $wire) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    $($range => Self::$unknown(number),)+
                }
            }

            /// The number on the wire (RFC 7296 section 3).
            #[must_use]
            pub const fn $to(self) -> $wire {
                match self {
                    $(Self::$variant => $number,)+
                    $(Self::$unknown(number) => number,)+
                }
            }
        }

        impl From<$wire> for $name {
            fn from(number: $wire) -> Self {
                Self::$from(number)
            }
        }

        impl From<$name> for $wire {
            fn from(value: $name) -> Self {
                value.$to()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.pad($label),)+
                    $(Self::$unknown(number) => number.fmt(f),)+
                }
            }
        }
    };
}

registry! {
    /// Exchange types (RFC 7296 section 3.1).
    ExchangeType: u8, from_u8, to_u8;
    IkeSaInit = 34, "IKE_SA_INIT", "RFC 7296 section 1.2.";
    IkeAuth = 35, "IKE_AUTH", "RFC 7296 section 1.2.";
    CreateChildSa = 36, "CREATE_CHILD_SA", "RFC 7296 section 1.3.";
    Informational = 37, "INFORMATIONAL", "RFC 7296 section 1.4.";
    IkeIntermediate = 43, "IKE_INTERMEDIATE", "RFC 9242.";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Payload types (RFC 7296 section 3.2).
    PayloadType: u8, from_u8, to_u8;
    None = 0, "NONE", "no next payload (RFC 7296 section 3.2).";
    Sa = 33, "SA", "Security Association (RFC 7296 section 3.3).";
    Ke = 34, "KE", "Key Exchange (RFC 7296 section 3.4).";
    IdI = 35, "IDi", "Identification of the Initiator (RFC 7296 section 3.5).";
    IdR = 36, "IDr", "Identification of the Responder (RFC 7296 section 3.5).";
    Cert = 37, "CERT", "Certificate (RFC 7296 section 3.6).";
    CertReq = 38, "CERTREQ", "Certificate Request (RFC 7296 section 3.7).";
    Auth = 39, "AUTH", "Authentication (RFC 7296 section 3.8).";
    Nonce = 40, "NONCE", "Ni or Nr (RFC 7296 section 3.9).";
    Notify = 41, "N", "Notify (RFC 7296 section 3.10).";
    Delete = 42, "D", "Delete (RFC 7296 section 3.11).";
    VendorId = 43, "V", "Vendor ID (RFC 7296 section 3.12).";
    TsI = 44, "TSi", "Traffic Selectors of the Initiator (RFC 7296 section 3.13).";
    TsR = 45, "TSr", "Traffic Selectors of the Responder (RFC 7296 section 3.13).";
    Encrypted = 46, "SK", "Encrypted and Authenticated (RFC 7296 section 3.14).";
    Configuration = 47, "CP", "Configuration (RFC 7296 section 3.15).";
    Eap = 48, "EAP", "Extensible Authentication (RFC 7296 section 3.16).";
    EncryptedFragment = 53, "SKF", "Encrypted and Authenticated Fragment (RFC 7383 section 2.5).";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Notify message types (RFC 7296 section 3.10.1): below 16384 an error, from there on a status.
    NotifyType: u16, from_u16, to_u16;
    UnsupportedCriticalPayload = 1, "UNSUPPORTED_CRITICAL_PAYLOAD", "a payload with the critical bit is not known (RFC 7296 section 2.5).";
    InvalidIkeSpi = 4, "INVALID_IKE_SPI", "the SPIs of the header are not known (RFC 7296 section 2.21.4).";
    InvalidMajorVersion = 5, "INVALID_MAJOR_VERSION", "RFC 7296 section 2.5.";
    InvalidSyntax = 7, "INVALID_SYNTAX", "a type, length or value out of range (RFC 7296 section 2.21).";
    InvalidMessageId = 9, "INVALID_MESSAGE_ID", "a Message ID outside of the window (RFC 7296 section 2.3).";
    InvalidSpi = 11, "INVALID_SPI", "an ESP or AH packet with a SPI that is not known (RFC 7296 section 1.5).";
    NoProposalChosen = 14, "NO_PROPOSAL_CHOSEN", "none of the proposals is acceptable (RFC 7296 section 2.7).";
    InvalidKePayload = 17, "INVALID_KE_PAYLOAD", "the KE payload is of another group than the one chosen, which the data names (RFC 7296 section 1.2).";
    AuthenticationFailed = 24, "AUTHENTICATION_FAILED", "RFC 7296 section 2.21.2.";
    SinglePairRequired = 34, "SINGLE_PAIR_REQUIRED", "only a single pair of addresses is accepted (RFC 7296 section 2.9).";
    NoAdditionalSas = 35, "NO_ADDITIONAL_SAS", "no further Child SA on this IKE SA (RFC 7296 section 1.3).";
    InternalAddressFailure = 36, "INTERNAL_ADDRESS_FAILURE", "no address to assign (RFC 7296 section 3.15.4).";
    FailedCpRequired = 37, "FAILED_CP_REQUIRED", "a Configuration payload was expected (RFC 7296 section 2.19).";
    TsUnacceptable = 38, "TS_UNACCEPTABLE", "no selector proposed is acceptable (RFC 7296 section 2.9).";
    InvalidSelectors = 39, "INVALID_SELECTORS", "a packet did not fit the selectors of its SA (RFC 7296 section 3.10.1).";
    UnacceptableAddresses = 40, "UNACCEPTABLE_ADDRESSES", "RFC 4555 section 3.5.";
    UnexpectedNatDetected = 41, "UNEXPECTED_NAT_DETECTED", "RFC 4555 section 3.9.";
    TemporaryFailure = 43, "TEMPORARY_FAILURE", "a request that cannot be completed now, in a rekey collision (RFC 7296 section 2.25).";
    ChildSaNotFound = 44, "CHILD_SA_NOT_FOUND", "the Child SA to rekey does not exist (RFC 7296 section 2.25).";
    InitialContact = 16384, "INITIAL_CONTACT", "the only IKE SA between the two identities (RFC 7296 section 2.4).";
    SetWindowSize = 16385, "SET_WINDOW_SIZE", "RFC 7296 section 2.3.";
    AdditionalTsPossible = 16386, "ADDITIONAL_TS_POSSIBLE", "RFC 7296 section 2.9.";
    IpcompSupported = 16387, "IPCOMP_SUPPORTED", "RFC 7296 section 2.22.";
    NatDetectionSourceIp = 16388, "NAT_DETECTION_SOURCE_IP", "RFC 7296 section 2.23.";
    NatDetectionDestinationIp = 16389, "NAT_DETECTION_DESTINATION_IP", "RFC 7296 section 2.23.";
    Cookie = 16390, "COOKIE", "RFC 7296 section 2.6.";
    UseTransportMode = 16391, "USE_TRANSPORT_MODE", "RFC 7296 section 1.3.1.";
    HttpCertLookupSupported = 16392, "HTTP_CERT_LOOKUP_SUPPORTED", "RFC 7296 section 3.6.";
    RekeySa = 16393, "REKEY_SA", "the Child SA that this exchange replaces (RFC 7296 section 1.3.3).";
    EspTfcPaddingNotSupported = 16394, "ESP_TFC_PADDING_NOT_SUPPORTED", "RFC 7296 section 1.3.1.";
    NonFirstFragmentsAlso = 16395, "NON_FIRST_FRAGMENTS_ALSO", "RFC 7296 section 1.3.1.";
    MobikeSupported = 16396, "MOBIKE_SUPPORTED", "RFC 4555 section 3.1.";
    AdditionalIp4Address = 16397, "ADDITIONAL_IP4_ADDRESS", "RFC 4555 section 3.6.";
    AdditionalIp6Address = 16398, "ADDITIONAL_IP6_ADDRESS", "RFC 4555 section 3.6.";
    NoAdditionalAddresses = 16399, "NO_ADDITIONAL_ADDRESSES", "RFC 4555 section 3.6.";
    UpdateSaAddresses = 16400, "UPDATE_SA_ADDRESSES", "RFC 4555 section 3.5.";
    Cookie2 = 16401, "COOKIE2", "RFC 4555 section 3.7.";
    NoNatsAllowed = 16402, "NO_NATS_ALLOWED", "RFC 4555 section 3.9.";
    AuthLifetime = 16403, "AUTH_LIFETIME", "seconds until the peer must authenticate again (RFC 4478 section 2).";
    MultipleAuthSupported = 16404, "MULTIPLE_AUTH_SUPPORTED", "RFC 4739.";
    AnotherAuthFollows = 16405, "ANOTHER_AUTH_FOLLOWS", "RFC 4739.";
    RedirectSupported = 16406, "REDIRECT_SUPPORTED", "RFC 5685.";
    Redirect = 16407, "REDIRECT", "RFC 5685.";
    RedirectedFrom = 16408, "REDIRECTED_FROM", "RFC 5685.";
    EapOnlyAuthentication = 16417, "EAP_ONLY_AUTHENTICATION", "RFC 5998.";
    ChildlessIkev2Supported = 16418, "CHILDLESS_IKEV2_SUPPORTED", "RFC 6023.";
    QuickCrashDetection = 16419, "QUICK_CRASH_DETECTION", "RFC 6290.";
    Ikev2MessageIdSyncSupported = 16420, "IKEV2_MESSAGE_ID_SYNC_SUPPORTED", "RFC 6311.";
    FragmentationSupported = 16430, "IKEV2_FRAGMENTATION_SUPPORTED", "RFC 7383 section 2.3.";
    SignatureHashAlgorithms = 16431, "SIGNATURE_HASH_ALGORITHMS", "RFC 7427 section 4.";
    UsePpk = 16435, "USE_PPK", "RFC 8784 section 3.";
    PpkIdentity = 16436, "PPK_IDENTITY", "RFC 8784 section 3.";
    NoPpkAuth = 16437, "NO_PPK_AUTH", "RFC 8784 section 3.";
    IntermediateExchangeSupported = 16438, "INTERMEDIATE_EXCHANGE_SUPPORTED", "RFC 9242 section 3.1.";
    => UnknownError(0..16384), "Any other error.";
    => UnknownStatus(16384..), "Any other status; to be ignored (RFC 7296 section 3.10.1).";
}

impl NotifyType {
    /// Whether it reports an error (RFC 7296 section 3.10.1: types below 16384).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.to_u16() < 16384
    }
}

registry! {
    /// Security protocol identifiers (RFC 7296 section 3.3.1).
    ProtocolId: u8, from_u8, to_u8;
    None = 0, "NONE", "a Notify that is about no SA (RFC 7296 section 3.10).";
    Ike = 1, "IKE", "RFC 7296 section 3.3.1.";
    Ah = 2, "AH", "RFC 7296 section 3.3.1.";
    Esp = 3, "ESP", "RFC 7296 section 3.3.1.";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Transform types (RFC 7296 section 3.3.2, names of RFC 9370).
    TransformType: u8, from_u8, to_u8;
    Encr = 1, "ENCR", "encryption (RFC 7296 section 3.3.2).";
    Prf = 2, "PRF", "pseudo-random function (RFC 7296 section 3.3.2).";
    Integ = 3, "INTEG", "integrity (RFC 7296 section 3.3.2).";
    Ke = 4, "KE", "key exchange method (RFC 7296 section 3.3.2).";
    Esn = 5, "ESN", "extended sequence numbers (RFC 7296 section 3.3.2).";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Identification types (RFC 7296 section 3.5).
    IdType: u8, from_u8, to_u8;
    Ipv4Addr = 1, "ID_IPV4_ADDR", "four octets (RFC 7296 section 3.5).";
    Fqdn = 2, "ID_FQDN", "a domain name (RFC 7296 section 3.5).";
    Rfc822Addr = 3, "ID_RFC822_ADDR", "an e-mail address (RFC 7296 section 3.5).";
    Ipv6Addr = 5, "ID_IPV6_ADDR", "sixteen octets (RFC 7296 section 3.5).";
    DerAsn1Dn = 9, "ID_DER_ASN1_DN", "an X.500 distinguished name (RFC 7296 section 3.5).";
    DerAsn1Gn = 10, "ID_DER_ASN1_GN", "an X.509 general name (RFC 7296 section 3.5).";
    KeyId = 11, "ID_KEY_ID", "opaque octets (RFC 7296 section 3.5).";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Authentication methods (RFC 7296 section 3.8).
    AuthMethod: u8, from_u8, to_u8;
    Rsa = 1, "RSA", "RSA signature, with SHA-1 (RFC 7296 section 3.8).";
    SharedKey = 2, "SHARED_KEY", "shared key message integrity code (RFC 7296 section 2.15).";
    Dss = 3, "DSS", "DSS signature (RFC 7296 section 3.8).";
    EcdsaSha256P256 = 9, "ECDSA_SHA256_P256", "RFC 4754.";
    EcdsaSha384P384 = 10, "ECDSA_SHA384_P384", "RFC 4754.";
    EcdsaSha512P521 = 11, "ECDSA_SHA512_P521", "RFC 4754.";
    GenericSecurePassword = 12, "GSPM", "RFC 6467.";
    Null = 13, "NULL", "RFC 7619.";
    DigitalSignature = 14, "DIGITAL_SIGNATURE", "RFC 7427.";
    => Unknown(_), "Any other number.";
}

registry! {
    /// Traffic selector types (RFC 7296 section 3.13.1).
    TsType: u8, from_u8, to_u8;
    Ipv4AddrRange = 7, "TS_IPV4_ADDR_RANGE", "RFC 7296 section 3.13.1.";
    Ipv6AddrRange = 8, "TS_IPV6_ADDR_RANGE", "RFC 7296 section 3.13.1.";
    => Unknown(_), "Any other number.";
}
