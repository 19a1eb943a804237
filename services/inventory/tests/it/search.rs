//! Full-text search, whatever people type.

use tonic::Code;

use crate::fixture::{Stockroom, refusal, titled};

async fn room() -> Stockroom {
    let mut room = Stockroom::empty().await;
    let products = vec![
        titled("85123A", "White hanging heart T-light holder", 6),
        titled("MUG-350ML", "Red mug", 1),
        titled("MUG-500ML", "Red mug, red handle, red lid", 1),
        titled("CAFE-1", "Café crème", 1),
        titled("NOT-1", "Not AND or NEAR title", 1),
    ];
    room.import(products).await.unwrap();
    room
}

#[tokio::test]
async fn a_search_finds_all_words_the_last_one_unfinished() {
    let mut room = room().await;

    for (query, expected) in [
        ("heart", vec!["85123A"]),
        ("HOLDER white", vec!["85123A"]),
        ("white hea", vec!["85123A"]),
        ("whi heart", vec![]),
        ("cafe creme", vec!["CAFE-1"]),
        ("CAFÉ", vec!["CAFE-1"]),
        ("mug-350ml", vec!["MUG-350ML"]),
        ("mug 350", vec!["MUG-350ML"]),
        ("85123", vec!["85123A"]),
        ("t-light", vec!["85123A"]),
        ("unheard of", vec![]),
    ] {
        let (skus, _) = room.page(query, 100, "").await.unwrap();
        assert_eq!(skus, expected, "{query}");
    }
}

#[tokio::test]
async fn what_fits_best_comes_first() {
    let mut room = room().await;

    let (skus, _) = room.page("red", 100, "").await.unwrap();

    assert_eq!(skus.len(), 2);
    assert_eq!(skus[0], "MUG-500ML");
}

#[tokio::test]
async fn a_changed_title_is_found_by_its_new_words_only() {
    let mut room = room().await;

    room.import(vec![titled("MUG-350ML", "Blue cup", 1)]).await.unwrap();

    assert_eq!(room.page("blue", 100, "").await.unwrap().0, ["MUG-350ML"]);
    assert_eq!(room.page("red", 100, "").await.unwrap().0, ["MUG-500ML"]);
}

#[tokio::test]
async fn nothing_that_is_typed_is_read_as_syntax() {
    let mut room = room().await;

    for query in [
        "\"",
        "\"\"",
        "\"red",
        "red\"",
        "red\"\"mug",
        "red*",
        "*",
        "^red",
        "red OR heart",
        "red AND",
        "NOT red",
        "red NOT mug",
        "NEAR(red mug)",
        "title:red",
        "{title sku}:red",
        "- title:red",
        "red + mug",
        "red\0mug",
        "\0",
        "(red",
        "red)",
        "';--",
        "red; DROP TABLE",
        "a\u{301}",
        "\u{301}",
        "\u{345}",
        "日本語",
        "🫖",
        "\u{feff}",
        "½",
        "\\",
        "%_",
    ] {
        room.page(query, 100, "").await.unwrap_or_else(|status| panic!("{query:?}: {status}"));
    }
    assert_eq!(room.page("red OR heart", 100, "").await.unwrap().0, Vec::<String>::new());
    assert_eq!(room.page("NOT", 100, "").await.unwrap().0, ["NOT-1"]);
    assert_eq!(room.page("red\0mug", 100, "").await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn any_title_is_found_by_itself() {
    let mut room = Stockroom::empty().await;
    let syllables = "힣".repeat(200);
    let signs = "q ".repeat(99);
    let titles = [
        "O'Neill's \"best\" \\ mug",
        "Straße nach İstanbul",
        "ΣΟΦΟΣ σοφός",
        "हिन्दी की किताब",
        "ﬁne naïve cafe\u{301}",
        "日本語のマグ",
        "a:1B <-> & !b | (c)",
        "½ litre 🫖",
        &syllables,
        &signs,
    ];
    let imports =
        titles.iter().zip(0..).map(|(title, number)| titled(&format!("SKU-{number}"), title, 1));
    room.import(imports.collect()).await.unwrap();

    for (title, number) in titles.iter().zip(0..) {
        let (skus, _) = room.page(title, 100, "").await.unwrap();
        assert_eq!(skus, [format!("SKU-{number}")], "{title}");
    }
}

#[tokio::test]
async fn no_phrase_goes_over_from_the_title_to_the_sku() {
    let mut room = Stockroom::empty().await;
    room.import(vec![titled("MUG-1", "Red", 1)]).await.unwrap();

    for (query, expected) in [("red-mug", 0), ("red mug", 1), ("mug-1", 1), ("mug-red", 0)] {
        assert_eq!(room.page(query, 100, "").await.unwrap().0.len(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_query_without_a_word_finds_nothing() {
    let mut room = room().await;

    for query in ["-", "\"\" *", "…", "\0"] {
        assert_eq!(room.page(query, 0, "").await.unwrap(), (Vec::new(), String::new()), "{query}");
    }
}

#[tokio::test]
async fn a_query_has_an_end() {
    let mut room = room().await;

    room.page(&"é".repeat(200), 0, "").await.unwrap();
    room.page(&"a ".repeat(100), 0, "").await.unwrap();

    assert_eq!(
        refusal(room.page(&"é".repeat(201), 0, "").await),
        (Code::InvalidArgument, "INVALID_FIELD".to_owned())
    );
}
