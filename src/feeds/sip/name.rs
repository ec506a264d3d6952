//! The header fields that mean something here, by their long and their compact names (RFC 3261 20, RFC 3891, RFC 6665, …).

macro_rules! names {
    ($($name:ident $long:literal $compact:literal $list:literal,)*) => {
        /// A header field that the program asks for. Others are found by their text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Name {
            $($name,)*
        }

        impl Name {
            /// By either of its names, in any case.
            #[must_use]
            pub fn of(text: &str) -> Option<Self> {
                $(if text.len() == $long.len() && text.eq_ignore_ascii_case($long) {
                    return Some(Self::$name);
                })*
                if text.len() == 1 {
                    $(if text.eq_ignore_ascii_case($compact) {
                        return Some(Self::$name);
                    })*
                }
                None
            }

            /// As it is written.
            #[must_use]
            pub fn long(self) -> &'static str {
                match self {
                    $(Self::$name => $long,)*
                }
            }

            /// Whether one line may hold several values, with commas between.
            #[must_use]
            pub fn is_list(self) -> bool {
                match self {
                    $(Self::$name => $list,)*
                }
            }
        }
    };
}

names! {
    Via "Via" "v" true,
    From "From" "f" false,
    To "To" "t" false,
    CallId "Call-ID" "i" false,
    CSeq "CSeq" "" false,
    Contact "Contact" "m" true,
    ContentLength "Content-Length" "l" false,
    ContentType "Content-Type" "c" false,
    ContentEncoding "Content-Encoding" "e" true,
    Expires "Expires" "" false,
    MinExpires "Min-Expires" "" false,
    RetryAfter "Retry-After" "" false,
    Event "Event" "o" false,
    SubscriptionState "Subscription-State" "" false,
    AllowEvents "Allow-Events" "u" true,
    Supported "Supported" "k" true,
    Require "Require" "" true,
    Route "Route" "" true,
    RecordRoute "Record-Route" "" true,
    WwwAuthenticate "WWW-Authenticate" "" false,
    ProxyAuthenticate "Proxy-Authenticate" "" false,
    AssertedIdentity "P-Asserted-Identity" "" true,
    PreferredIdentity "P-Preferred-Identity" "" true,
    RemotePartyId "Remote-Party-ID" "" true,
    Privacy "Privacy" "" false,
    Diversion "Diversion" "" true,
    HistoryInfo "History-Info" "" true,
    ReferTo "Refer-To" "r" false,
    ReferredBy "Referred-By" "b" false,
    Replaces "Replaces" "" false,
    Reason "Reason" "" true,
    SessionExpires "Session-Expires" "x" false,
    SessionId "Session-ID" "" false,
    UserAgent "User-Agent" "" false,
    Server "Server" "" false,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_compact_names_are_one_in_any_case() {
        for (text, name) in
            [("Call-ID", Name::CallId), ("call-id", Name::CallId), ("i", Name::CallId), ("I", Name::CallId)]
        {
            assert_eq!(Name::of(text), Some(name), "{text}");
        }
        assert_eq!(Name::of("X-Call-ID"), None);
        assert_eq!(Name::of(""), None);
    }
}
