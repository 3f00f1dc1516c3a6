//! What is said about wrong native configurations.

use crate::common::{problems, show, toml, with};
use crate::native::SMALL;
use hawser_config::default_toml;

#[test]
fn every_fault_has_its_line_and_reason() {
    let child = "name = \"lan\"";
    let name = "name = \"branches\"";
    for (from, to, line, reason) in [
        (
            "[[templates]]",
            "[[template]]",
            2,
            "unknown key `template`; did you mean `templates`?",
        ),
        (
            name,
            "nmae = \"x\"",
            3,
            "templates: unknown key `nmae`; did you mean `name`?",
        ),
        (name, "", 2, "templates: `name` is missing"),
        (name, "name = \"\"", 3, "expected a name"),
        (name, "name = \"a\\nb\"", 3, "expected a name"),
        (
            name,
            "name = \"branches\"\ntenant = \"red\"",
            4,
            "there is no tenant `red`",
        ),
        (
            name,
            "name = \"branches\"\nike_lifetime = \"1\u{b5}s\"",
            4,
            "not a duration",
        ),
        (
            name,
            "name = \"branches\"\nike_lifetime = \"off\"\nnat_keepalive = \"on\"",
            5,
            "not a duration",
        ),
        (
            name,
            "name = \"branches\"\nike_lifetime = 200\nike_rekey_margin = 200",
            5,
            "must be less than",
        ),
        (
            name,
            "name = \"branches\"\nlocal_identity = \"*.a\"",
            4,
            "is not an identity",
        ),
        (
            name,
            "name = \"branches\"\ndpd = { mode = \"ondemand\", interval = 20 }",
            4,
            "did you mean `on-demand`?",
        ),
        (
            name,
            "name = \"branches\"\ndpd = { mode = \"periodic\", interval = 20, retry = 20 }",
            4,
            "must exceed the retry",
        ),
        (
            name,
            "name = \"branches\"\ndpd = { mode = \"periodic\" }",
            4,
            "templates.dpd: `interval` is missing",
        ),
        (
            name,
            "name = \"branches\"\nretransmission = { initial = 5, max = 4 }",
            4,
            "must not be less than",
        ),
        (
            name,
            "name = \"branches\"\ninitiate = { remote = \"0.0.0.0\", identity = \"a\", secret = \"b\" }",
            4,
            "no peer can have",
        ),
        (
            child,
            "name = \"lan\"\nreplay_window = 63",
            6,
            "neither 0 nor at least 64",
        ),
        (
            child,
            "name = \"lan\"\nlocal = [\"10.0.0.0/8\", \"10.0.0.0/33\"]",
            6,
            "`10.0.0.0/33` is not a traffic",
        ),
        (
            child,
            "name = \"lan\"\nlocal = [\n\"10.0.0.0/8\",\n\"x\"]",
            8,
            "`x` is not a traffic",
        ),
        (
            "aes256gcm16-esn",
            "aes256gmc16-esn",
            6,
            "unknown algorithm `aes256gmc16`; did you mean `aes256gcm16`?",
        ),
        (
            "aes256gcm16-esn",
            "aes256gcm16-sha1",
            6,
            "does not go with an AEAD cipher",
        ),
        (
            "[\"aes256gcm16-esn\"]",
            "[]",
            6,
            "expected at least an ESP proposal",
        ),
        (
            "template = \"branches\"",
            "template = \"brances\"",
            9,
            "no template `brances`; did you mean `branches`?",
        ),
        ("*.branch.example", "a*b", 8, "`a*b` is not an identity"),
        (
            "\"0x00112233445566778899aabbccddeeff\"",
            "\"0xgg\"",
            10,
            "not hexadecimal",
        ),
        (
            "\"0x00112233445566778899aabbccddeeff\"",
            "5",
            10,
            "secrets.secret: expected a string",
        ),
        (
            "[[secrets]]",
            "[[templates]]\nname = \"branches\"\n[[templates.children]]\nname = \"x\"\nproposals = [\"aes128-sha256\"]\n[[secrets]]",
            8,
            "is taken already in line 3",
        ),
        (
            "[[secrets]]",
            "[[templates.children]]\nname = \"lan\"\nproposals = [\"aes128-sha256\"]\n[[secrets]]",
            8,
            "is taken already in line 5",
        ),
    ] {
        let shown = problems(toml(&with(SMALL, from, to)));
        let said = shown
            .lines()
            .any(|l| l.starts_with(&format!("f:{line}: ")) && l.contains(reason));
        assert!(said, "`{to}` must say in line {line} `{reason}`:\n{shown}");
    }
}

#[test]
fn plugins_that_cannot_be_where_they_are() {
    let plugin = "[[plugins]]\nplugin = \"log-json\"\nhook = \"log-format\"\n";
    for (text, line, reason) in [
        (
            plugin.replace("log-format", "log-fromat"),
            13,
            "did you mean `log-format`?",
        ),
        (
            format!("{plugin}tenant = \"default\""),
            14,
            "one plugin formats the whole log",
        ),
        (
            format!("{plugin}{plugin}"),
            14,
            "another one decides there already, of line 11",
        ),
        (
            format!("{plugin}setings = {{}}"),
            14,
            "plugins: unknown key `setings`; did you mean `settings`?",
        ),
        (
            format!("{plugin}settings = 5"),
            14,
            "plugins.settings: expected a table `[plugins.settings]`, found integer",
        ),
        (
            "[[plugins]]\nplugin = \"x\"\nhook = \"dpd-policy\"\ntemplate = \"branch\"".to_owned(),
            14,
            "there is no template `branch`; did you mean `branches`?",
        ),
        (
            "[plugin_host]\nkeys = [\"0011\"]".to_owned(),
            12,
            "`0011` is not an ed25519 public key",
        ),
    ] {
        let shown = problems(toml(&format!("{SMALL}{text}")));
        let said = shown
            .lines()
            .any(|l| l.starts_with(&format!("f:{line}: ")) && l.contains(reason));
        assert!(
            said,
            "`{text}` must say in line {line} `{reason}`:\n{shown}"
        );
    }
}

#[test]
fn what_a_plugin_says_of_its_settings_is_told_at_their_lines() {
    let text = format!(
        "{SMALL}[[plugins]]\nhook = \"log-format\"\nplugin = \"log-comware\"\n[plugins.settings]\nsysname = \"H3C\"\n\
         [plugins.settings.vrf]\nnorth = 1\n\"a/b\" = 2\n"
    );
    let places = toml(&text).unwrap().plugins;
    let [place] = places.as_slice() else {
        panic!("{places:?}")
    };
    let told = |pointer: &str| {
        let problem = place.settings_problem(pointer, "wrong", &[]);
        (problem.line.unwrap(), problem.field)
    };
    assert_eq!(told("/sysname"), (15, "plugins.settings.sysname".into()));
    assert_eq!(told("/vrf/a~1b"), (18, "plugins.settings.vrf.a/b".into()));
    assert_eq!(
        told("/vrf/south"),
        (16, "plugins.settings.vrf.south".into())
    );
    assert_eq!(told(""), (14, "plugins.settings".into()));
    assert_eq!(place.problem("wrong").line, Some(13));
    let known = ["vrf".to_owned(), "sysname".to_owned()];
    let unknown = place.settings_problem("/sysnmae", "unknown setting", &known);
    assert_eq!(unknown.suggestion.as_deref(), Some("sysname"));
}

#[test]
fn settings_that_do_not_go_together() {
    for (first, reason) in [
        ("listen = { port = 500, nat_port = 500 }", "must differ"),
        (
            "listen = { addresses = [\"192.0.2.1\", \"192.0.2.1\"] }",
            "is there already",
        ),
        (
            "log = { outputs = [\"stderr\", \"stderr\"] }",
            "`stderr` is there already",
        ),
        (
            "log = { outputs = [\"stdrer\"] }",
            "`stdrer` is not an output: stdout, stderr, file:/PATH, or a syslog server udp:HOST:PORT, tcp:HOST:PORT or unix:/PATH; did you mean `stderr`?",
        ),
        ("log = { outputs = [\"file:log\"] }", "`file:log` is not"),
        (
            "log = { levle = \"info\" }",
            "log: unknown key `levle`; did you mean `level`?",
        ),
        (
            "tenants = [{ name = \"a\", interface = \"x\" }, { name = \"b\", interface = \"x\" }]",
            "another tenant's already",
        ),
        (
            "tenants = [{ name = \"a\", interface = \"sixteen-octets-x\" }]",
            "cannot be the name of an interface",
        ),
        (
            "tenants = [{ name = \"a\", interface = \"a/b\" }]",
            "cannot be the name of an interface",
        ),
        (
            "tenants = [{ name = \"a\", namespace = \"..\" }]",
            "cannot be the name of a namespace",
        ),
        (
            "tenants = [{ name = \"a\" }, { name = \"a\" }]",
            "is taken already",
        ),
        (
            "ike_policies = [{ name = \"a\", proposals = [\"aes128-sha256\"] }]",
            "no key exchange algorithm",
        ),
    ] {
        let shown = problems(toml(&format!("{first}\n{SMALL}")));
        assert!(
            shown.starts_with("f:1: ") && shown.contains(reason),
            "{first}: {shown}"
        );
    }
    assert!(problems(toml("templates = 5")).contains("expected tables `[[templates]]`"));
    assert!(problems(toml("")).contains("f: `templates` is missing"));
    assert!(problems(toml("templates = []")).contains("at least one `[[templates]]`"));
}

#[test]
fn a_secret_too_short_to_revive_with_is_said_unless_there_is_consent() {
    let notes = |text: &str| {
        let loaded = hawser_config::load(text, hawser_config::Format::Toml, &|_| None).unwrap();
        let lines = loaded.notes.iter().map(ToString::to_string);
        lines.collect::<Vec<_>>().join("\n")
    };
    let short = SMALL.replace("0x00112233445566778899aabbccddeeff", "test");
    let consent = short.replace(
        "name = \"branches\"\n",
        "name = \"branches\"\nrevive_weak_secret = true\n",
    );
    let off = short.replace(
        "name = \"branches\"\n",
        "name = \"branches\"\nrevive = \"off\"\n",
    );
    assert!(
        notes(&short).contains("`branches` with a secret of less than 16 octets are not revived")
    );
    for quiet in [SMALL, &consent, &off] {
        assert!(!notes(quiet).contains("not revived"), "{quiet}");
    }
}

#[test]
fn what_is_questionable_is_said() {
    for (first, said) in [
        (
            "metrics = { listen = \"0.0.0.0:9464\" }",
            "shown to everyone",
        ),
        (
            "ike_policies = [{ name = \"a\", proposals = [\"aes128-sha1-modp1536\"] }]",
            "sha1, prfsha1, modp1536",
        ),
        (
            "listen = { addresses = [\"192.0.2.1\"] }\nike_policies = [{ name = \"a\", local = [\"192.0.2.2\"], proposals = [\"aes128-sha256-modp2048\"] }]",
            "not among `listen.addresses`",
        ),
    ] {
        let notes = toml(&format!("{first}\n{SMALL}")).unwrap().notes;
        assert!(
            notes.iter().any(|n| n.message.contains(said)),
            "{first}: {notes:?}"
        );
    }
    let none = with(SMALL, "identity = \"*.branch.example\"", "identity = \"x\"");
    let none = none.split("[[secrets]]").next().unwrap();
    let notes = toml(none).unwrap().notes;
    assert!(
        notes[0]
            .message
            .contains("no secret leads to the template `branches`"),
        "{notes:?}"
    );
}

#[test]
fn all_syntax_errors_have_lines() {
    let shown = problems(toml("a = \n[x\nb = 1\nb = 2\n"));
    assert!(shown.starts_with("f:1: "), "{shown}");
    assert!(shown.lines().count() >= 2, "{shown}");
    let twice = problems(toml(
        &SMALL.replace("name = \"lan\"", "name = \"lan\"\nname = \"x\""),
    ));
    assert!(twice.starts_with("f:6: "), "{twice}");
}

#[test]
fn what_the_example_shows_as_comments_is_right() {
    // The settings that are commented out are alternatives to ones that are not.
    let line = |l: &str| {
        let bare = l
            .strip_prefix("# ")
            .filter(|b| b.starts_with('[') || b.contains(" = "));
        bare.unwrap_or(l).to_owned()
    };
    let all: Vec<String> = default_toml().lines().map(line).collect();
    let all = all
        .join("\n")
        .replace("secret_file = \"/etc/hawser/test.psk\"", "secret = \"x\"");
    let loaded = toml(&all);
    assert!(loaded.is_ok(), "{}\n{all}", show(&loaded.unwrap_err()));
}
