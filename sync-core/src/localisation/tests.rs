use super::*;
use crate::error::Server;

#[test]
fn texts_stand_once_and_belong_to_something() {
    let all = all(&[]);
    let mut names: Vec<(&str, &str)> = all.iter().map(|sentence| (sentence.group, sentence.name)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    for row in declared() {
        assert!(!sentences::ALL.iter().any(|sentence| sentence.group == row.code), "{} is no group", row.code);
    }
    assert!(!sentences::ALL.iter().any(|sentence| [WORDS, LABELS].contains(&sentence.group)));
    for sentence in sentences::ALL {
        assert!(!sentence.english.contains("  "), "{}.{} is one line", sentence.group, sentence.name);
    }
}

#[test]
fn other_words_take_the_place_of_english_ones() {
    let json = r#"{
        "unreachable": {"message": "{server} ({url}) ne répond pas", "advice": "Vérifiez le réseau."},
        "disk_full": {"message": "plus de place"},
        "doctor": {"clock_ahead": "l'horloge avance de {time} sur {server}", "minutes": "{count} minutes environ"},
        "words": {"the central server": "le serveur central"}
    }"#;
    let texts = Texts::parse(json, &[]).unwrap();
    // What is filled in may look like a template.
    let url = "http://a/{server}".to_owned();
    let error = Error::Unreachable { server: Server::Central, url, source: "x".into() };
    assert_eq!(texts.message(&error), "le serveur central (http://a/{server}) ne répond pas");
    assert_eq!(texts.advice(&error), "Vérifiez le réseau.");
    let full = Error::DiskFull { source: "x".into() };
    assert_eq!((texts.message(&full), texts.advice(&full)), ("plus de place".to_owned(), full.advice().into()));
    assert_eq!(texts.message(&Error::NotSetUp), Error::NotSetUp.to_string());

    let say = sentences::doctor::clock_ahead(sentences::doctor::minutes(7), Server::Central);
    let mut said = vec![say.clone(), sentences::doctor::all_well()];
    texts.translate(&mut said);
    assert_eq!(said[0].to_string(), "l'horloge avance de 7 minutes environ sur le serveur central");
    assert_eq!(said[1].to_string(), sentences::doctor::all_well().to_string());
    assert_eq!(say.to_string(), "the clock of this machine is 7 minutes ahead of that of the central server");
    // Words of another language do not come into an English sentence.
    let behind = sentences::doctor::clock_behind(sentences::doctor::hours(3), Server::Central);
    assert_eq!(texts.say(&behind), behind.to_string());
}

#[test]
fn a_sentence_within_an_error_is_said_in_other_words_too() {
    let json = r#"{
        "bad_input": {"message": "mauvaise entrée : {detail}"},
        "input": {"reason_needed": "il faut une raison"},
        "not_an_msupply_server": {"message": "{url} donne {found}"},
        "error_detail": {"web_page": "une page web"}
    }"#;
    let texts = Texts::parse(json, &[]).unwrap();
    assert_eq!(texts.message(&Error::bad_input(input::reason_needed())), "mauvaise entrée : il faut une raison");
    let found = sentences::error_detail::web_page().into();
    let error = Error::NotAServer { server: Server::Legacy, url: "http://a".to_owned(), found };
    assert_eq!(texts.message(&error), "http://a donne une page web");
    // The text of another program stays as it is.
    assert_eq!(texts.message(&Error::bad_input("text")), "mauvaise entrée : text");
}

#[test]
fn what_is_missing_is_told_and_the_english_misses_nothing() {
    let english = Texts::english(&[]);
    assert_eq!(english.missing(&[]), Vec::<String>::new());
    let json = serde_json::to_string(english.groups()).unwrap();
    assert_eq!(Texts::parse(&json, &[]).unwrap(), english);
    let french = Texts::parse(r#"{"disk_full": {"message": "plus de place"}}"#, &[]).unwrap();
    let missing = french.missing(&[]);
    assert!(missing.contains(&"disk_full.advice".to_owned()) && !missing.contains(&"disk_full.message".to_owned()));
    let both = french.or(english);
    assert_eq!((both.of("disk_full", "message"), both.missing(&[]).len()), (Some("plus de place"), 0));
    for error in Error::examples() {
        assert_eq!(both.message(&error) == error.to_string(), error.code() != "disk_full");
    }
}

#[test]
fn a_host_has_sentences_of_its_own() {
    mod own {
        crate::sentences! { greeting { hello(name) = "Good day, {name}."; } }
    }
    let json = r#"{"greeting": {"hello": "Bonjour {name} !"}}"#;
    assert_eq!(Texts::parse(json, own::ALL).unwrap().say(&own::greeting::hello("Ann")), "Bonjour Ann !");
    assert!(Texts::parse(json, &[]).is_err());
}

#[test]
fn an_advice_of_the_host_replaces_the_librarys_and_a_translation_replaces_both() {
    let own = [
        MessageTemplate::new("not_set_up", "advice", "Press Set up."),
        MessageTemplate::new("error_detail", "process", " ({number})"),
        MessageTemplate::new("greeting", "hello", "Good day."),
    ];
    let texts = Texts::of_host(&own);
    assert_eq!(texts.advice(&Error::NotSetUp), "Press Set up.");
    assert_eq!(texts.advice(&Error::Cancelled), Error::Cancelled.advice());
    assert!(!texts.is_translated() && texts.missing(&own).contains(&"not_set_up.advice".to_owned()));
    assert_eq!(texts.say(&sentences::error_detail::process(7)), " (7)");
    let mut advice = Message::advice("not_set_up");
    texts.translate(&mut advice);
    assert_eq!(advice.to_string(), "Press Set up.");
    assert_eq!(Texts::english(&own).groups()["not_set_up"]["advice"], "Press Set up.");

    let french = Texts::parse(r#"{"disk_full": {"message": "plus de place"}}"#, &own).unwrap();
    assert_eq!(french.advice(&Error::NotSetUp), "Press Set up.", "not in the translation");
    let french = Texts::parse(r#"{"not_set_up": {"advice": "Installez-le."}}"#, &own).unwrap();
    assert_eq!(french.advice(&Error::NotSetUp), "Installez-le.");
}

#[test]
fn texts_that_fit_nothing_are_refused() {
    for (json, says) in [
        ("[]", "these are no texts"),
        (r#"{"unreachable": "x"}"#, "these are no texts"),
        (r#"{"unreachable": {"massage": "x"}}"#, r#"unreachable has no text "massage""#),
        (r#"{"unreachabel": {"message": "x"}}"#, r#"no error code and no group "unreachabel""#),
        (r#"{"unreachable": {"message": "{server} {site}"}}"#, "unreachable.message has no detail {site}"),
        (r#"{"doctor": {"clock_ahead": "{tempo}"}}"#, "doctor.clock_ahead has no detail {tempo}"),
    ] {
        let error = Texts::parse(json, &[]).unwrap_err();
        assert!(matches!(&error, Error::BadInput { detail } if detail.to_string().contains(says)), "{json}: {error}");
    }
}
