use super::*;

const FILE: &str = "\
# Mine.
activity:
  idle_timeout: 10m  # long builds
  # Not yet:
  # budget: 20

hetzner:   # the project
  location: nbg1
  server_types:   # cheap ones
    - cx23
    # the old one
    - cpx22
profiles:
  lab: {activity: {idle_timeout: 1h}}

# The end.
";

fn at<'a>(path: &'a str) -> Vec<Names<'a>> {
    path.split('.').map(|names| names.split('|').collect()).collect()
}

fn one(text: &str) -> Written {
    Written::Single(text.to_owned())
}

fn list(items: &[&str]) -> Written {
    Written::List(items.iter().map(|&item| item.to_owned()).collect())
}

/// The lines that differ, as `-` and `+`.
fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let tail = (old.iter().rev().zip(new.iter().rev()))
        .take_while(|(one, other)| one == other)
        .count()
        .min(old.len().min(new.len()) - same);
    let removed = old[same..old.len() - tail].iter().map(|line| format!("-{line}"));
    removed.chain(new[same..new.len() - tail].iter().map(|line| format!("+{line}"))).collect()
}

#[test]
fn a_value_is_changed_where_it_is_and_everything_else_stays() {
    let cases = [
        (
            "activity.idle_timeout",
            one("5m"),
            &["-  idle_timeout: 10m  # long builds", "+  idle_timeout: 5m  # long builds"][..],
        ),
        (
            "hetzner.locations|location",
            list(&["hel1", "fsn1"]),
            &["-  location: nbg1", "+  location: [hel1, fsn1]"],
        ),
        (
            "hetzner.server_types",
            list(&["cax11"]),
            &[
                "-  server_types:   # cheap ones",
                "-    - cx23",
                "-    # the old one",
                "-    - cpx22",
                "+  server_types: [cax11]   # cheap ones",
            ],
        ),
        ("hetzner.volume_size", one("40"), &["+  volume_size: 40"]),
        ("logging.level", one("debug"), &["+logging:", "+  level: debug"]),
        (
            "profiles.lab.activity.idle_timeout",
            one("2h"),
            &["-  lab: {activity: {idle_timeout: 1h}}", "+  lab: {activity: {idle_timeout: 2h}}"],
        ),
        (
            "profiles.lab.ssh.host",
            one("a@b"),
            &[
                "-  lab: {activity: {idle_timeout: 1h}}",
                "+  lab: {ssh: {host: a@b}, activity: {idle_timeout: 1h}}",
            ],
        ),
        ("profiles.home.ssh.host", one("a@b"), &["+  home:", "+    ssh:", "+      host: a@b"]),
    ];
    for (path, value, expected) in cases {
        let changed = set(FILE, &at(path), &value).unwrap();
        assert_eq!(difference(FILE, &changed), expected, "{path}:\n{changed}");
        // Once more changes nothing.
        assert_eq!(set(&changed, &at(path), &value).unwrap(), changed, "{path}");
    }
}

#[test]
fn a_value_is_removed_with_the_maps_that_it_leaves_empty() {
    let cases = [
        ("activity.idle_timeout", &["-  idle_timeout: 10m  # long builds"][..]),
        ("hetzner.locations|location", &["-  location: nbg1"]),
        (
            "hetzner.server_types",
            &[
                "-  server_types:   # cheap ones",
                "-    - cx23",
                "-    # the old one",
                "-    - cpx22",
            ],
        ),
        (
            "profiles.lab.activity.idle_timeout",
            &["-profiles:", "-  lab: {activity: {idle_timeout: 1h}}"],
        ),
    ];
    for (path, expected) in cases {
        let changed = unset(FILE, &at(path)).unwrap().unwrap();
        assert_eq!(difference(FILE, &changed), expected, "{path}:\n{changed}");
        assert_eq!(unset(&changed, &at(path)).unwrap(), None, "{path}");
    }
    for absent in ["activity.budget", "docker.proxy_port", "profiles.home.ssh.host"] {
        assert_eq!(unset(FILE, &at(absent)).unwrap(), None, "{absent}");
    }
    let both = "a: {b: 1, c: 2}\n";
    assert_eq!(unset(both, &at("a.b")).unwrap().unwrap(), "a: {c: 2}\n");
    assert_eq!(unset(both, &at("a.c")).unwrap().unwrap(), "a: {b: 1}\n");
    assert_eq!(unset("a: {b: 1}\n", &at("a.b")).unwrap().unwrap(), "");
    let nested = "p:\n  lab:\n    a: {b: 1, c: 2}\n";
    let kept = "p:\n  lab:\n    a: {c: 2}\n";
    assert_eq!(unset(nested, &at("p.lab.a.b")).unwrap().unwrap(), kept);
    let noted = "a:\n  # Not now.\n  b: 1\n";
    assert_eq!(unset(noted, &at("a.b")).unwrap().unwrap(), "a:\n  # Not now.\n");
}

#[test]
fn every_form_in_which_settings_are_written_can_be_changed() {
    let cases = [
        ("", "a:\n  b: 1\n"),
        ("# only this", "# only this\na:\n  b: 1\n"),
        ("a:", "a:\n  b: 1\n"),
        ("a: # later\nz: {y: 0}\n", "a: # later\n  b: 1\nz: {y: 0}\n"),
        ("a: {}\n", "a: {b: 1}\n"),
        ("a:\n    c: 2", "a:\n    c: 2\n    b: 1\n"),
        ("a:\n  b:\n", "a:\n  b: 1\n"),
        ("a: {c: 2, b: }\n", "a: {c: 2, b: 1 }\n"),
        ("{a: {b: 2}}\n", "{a: {b: 1}}\n"),
        ("{z: {y: 0}}\n", "{a: {b: 1}, z: {y: 0}}\n"),
        ("---\na:\n  b: 2\n", "---\na:\n  b: 1\n"),
        ("a:\n  b: 'it''s' # why\n", "a:\n  b: 1 # why\n"),
        ("a:\n  \"b\": \"\\\"#\"\n", "a:\n  \"b\": 1\n"),
        ("a:\n  b: |\n    x\n    # y\n  c: 2\n", "a:\n  b: 1\n  c: 2\n"),
        ("a:\n  b: [x, # one\n    'y]']\n  c: 2\n", "a:\n  b: 1\n  c: 2\n"),
        ("a:\n  b:\n  - x\n  - y\n  c: 2\n", "a:\n  b: 1\n  c: 2\n"),
        ("a:\n  b: x\n    y\n  c: 2\n", "a:\n  b: 1\n  c: 2\n"),
        ("a: {b: http://x:1/, c: 2}\n", "a: {b: 1, c: 2}\n"),
        ("a:\r\n  b: 2\r\n  c: 3\r\n", "a:\r\n  b: 1\r\n  c: 3\r\n"),
    ];
    for (before, after) in cases {
        assert_eq!(set(before, &at("a.b"), &one("1")).unwrap(), after, "{before:?}");
    }
}

#[test]
fn a_value_is_quoted_where_it_would_mean_something_else() {
    for (value, expected) in [
        ("5m", "5m"),
        ("1h 30m", "1h 30m"),
        ("12.50", "12.50"),
        ("http://x/v1", "http://x/v1"),
        ("a: b", "\"a: b\""),
        ("x #y", "\"x #y\""),
        ("null", "\"null\""),
        ("", "\"\""),
        ("*", "\"*\""),
        ("[x", "\"[x\""),
        ("it's \"so\"", "it's \"so\""),
        ("two\nlines", "\"two\\nlines\""),
    ] {
        let changed = set("", &at("a.b"), &one(value)).unwrap();
        assert_eq!(changed, format!("a:\n  b: {expected}\n"), "{value:?}");
    }
    let rules = list(&["web-*:80", "53/udp", "a, b", "*"]);
    let changed = set("", &at("a.b"), &rules).unwrap();
    assert_eq!(changed, "a:\n  b: [web-*:80, 53/udp, \"a, b\", \"*\"]\n");
}

#[test]
fn a_form_that_cannot_be_changed_safely_is_refused() {
    for text in [
        "a: &x {b: 2}\nc: *x\n",
        "a:\n  b: &x 2\nc:\n  d: *x\n",
        "- a\n",
        "a: b\n",
        "a: [b]\n",
        "? a\n: b: 2\n",
        "a: {b: !!str 2}\n",
        // Only the comparison of what is meant finds this one.
        "a: {b: x\n  y, c: 2}\n",
    ] {
        let refused = set(text, &at("a.b"), &one("1"));
        assert!(matches!(refused, Err(NotEdited::Form)), "{text:?}: {refused:?}");
    }
    let refused = set("a: [", &at("a.b"), &one("1"));
    assert!(matches!(refused, Err(NotEdited::Syntax(_))), "{refused:?}");
}
