use super::*;

fn endpoint(text: &str) -> EndpointId {
    EndpointId::parse(text).unwrap()
}

fn revision(number: u64) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

/// What a second process would see.
fn seen(board: &FlightBoard) -> Vec<(String, u64)> {
    let other = FlightBoard::of(board.descriptor().unwrap()).unwrap();
    let lanes = other.lanes().into_iter();
    lanes
        .map(|lane| match lane.running {
            Running::Nothing => ("nothing".to_owned(), 0),
            Running::Torn => ("torn".to_owned(), 0),
            Running::Script { endpoint, revision, .. } => (endpoint.to_string(), revision.get()),
        })
        .collect()
}

#[test]
fn who_maps_the_board_sees_what_runs_where_and_what_does_not_any_more() {
    let board = Arc::new(FlightBoard::new().unwrap());
    assert_eq!(seen(&board), []);
    let [one, two] = [(); 2].map(|()| board.claim().unwrap());
    let longest = format!("{0}/{0}/{0}", "n".repeat(quotas::scope::NAME_MAX));
    let labels = [("tv/home/home", 7), (&*longest, u64::MAX)]
        .map(|(name, number)| Label::of(&endpoint(name), revision(number)));
    let nothing = ("nothing".to_owned(), 0);
    assert_eq!(seen(&board), [nothing.clone(), nothing.clone()]);
    let first = one.mark(&labels[0]);
    assert_eq!(seen(&board), [("tv/home/home".to_owned(), 7), nothing.clone()]);
    let second = two.mark(&labels[1]);
    assert_eq!(seen(&board)[1], (longest, u64::MAX));
    drop(second);
    // A shorter name over a longer one.
    let second = two.mark(&labels[0]);
    assert_eq!(seen(&board), [("tv/home/home".to_owned(), 7), ("tv/home/home".to_owned(), 7)]);
    drop((first, second));
    assert_eq!(seen(&board), [nothing.clone(), nothing]);
    drop(one);
    assert_eq!(seen(&board).len(), 1, "a lane that is over is not there any more");
}

#[test]
fn a_lane_moves_on_when_it_ticks_and_when_it_turns_to_a_script() {
    let board = Arc::new(FlightBoard::new().unwrap());
    let slot = board.claim().unwrap();
    let progress = || board.lanes()[0].progress;
    let (label, before) = (Label::of(&endpoint("tv/home/home"), revision(1)), progress());
    slot.tick();
    let ticked = progress();
    assert_ne!(before, ticked);
    drop(slot.mark(&label));
    assert_ne!(ticked, progress());
}

#[test]
fn the_first_thread_that_crashed_is_the_one_noted() {
    let board = FlightBoard::new().unwrap();
    assert_eq!(board.crashed(), None);
    let signal = NonZeroU32::new(11).unwrap();
    board.note_crash(41, signal);
    board.note_crash(42, signal);
    assert_eq!(FlightBoard::of(board.descriptor().unwrap()).unwrap().crashed(), Some(41));
}

#[test]
fn another_file_is_no_board() {
    let other = rustix::fs::memfd_create("other", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    assert!(FlightBoard::of(other).is_err());
}

#[test]
fn a_reader_beside_a_writer_sees_whole_names_or_is_told() {
    let board = Arc::new(FlightBoard::new().unwrap());
    let writer = {
        let board = Arc::clone(&board);
        std::thread::spawn(move || {
            let slot = board.claim().unwrap();
            let labels = [("a/b/c", 1), ("long/longer/the-longest-of-them-all", 2)]
                .map(|(name, number)| Label::of(&endpoint(name), revision(number)));
            for label in labels.iter().cycle().take(200_000) {
                drop(slot.mark(label));
            }
        })
    };
    while !writer.is_finished() {
        for lane in board.lanes() {
            if let Running::Script { endpoint, revision, .. } = lane.running {
                let expected =
                    if revision.get() == 1 { "a/b/c" } else { "long/longer/the-longest-of-them-all" };
                assert_eq!(endpoint.to_string(), expected);
            }
        }
    }
    writer.join().unwrap();
}
