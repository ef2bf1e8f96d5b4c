//! What PID 1 does when memory runs out: it is not the victim, and it says who was.

use bundle::channel::{Event, Happening, Request, Response};
use bundle::guest::Restart;

use crate::support::{Bench, With, script, skip};

#[test]
fn who_was_killed_because_memory_ran_out_is_named() {
    if skip("who_was_killed_because_memory_ran_out_is_named") {
        return;
    }
    // The kernel counts before it kills.
    let text = "until [ -e $D/go ]; do sleep 0.01; done; echo 'oom_kill 1' > $D/counts; kill -9 $$";
    let bench = Bench::new(vec![script("web", text)]).counting_kills();
    let mut running = bench.start_with_channel(&[]);
    // Once it has answered it knows that the host understands the event.
    running.host().ask(&Request::Status);
    std::fs::write(bench.path("go"), "").expect("the folder is ours");
    let events = running.host().events();
    let expected = Event::OutOfMemory { name: Some("web".to_owned()), limit_bytes: Some(32 << 20) };
    assert!(events.contains(&expected), "{events:?}");
    let outcome = running.wait();
    let said =
        "appliance: service \"web\" was killed because memory ran out, of which there may be 32 MiB (status 137)\n";
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(137), said));
    // The same end without the count has another reason.
    let other = Bench::new(vec![script("web", "kill -9 $$").restart(Restart::Never)]).counting_kills().run(&[]);
    assert_eq!((other.status, other.err.as_str()), (Some(137), ""));
}

#[test]
fn another_process_that_was_killed_is_told_too() {
    if skip("another_process_that_was_killed_is_told_too") {
        return;
    }
    let bench = Bench::new(vec![script("web", "echo 'oom_kill 2' > $D/counts; exec sleep 1000")]).counting_kills();
    let mut running = bench.start_with_channel(&[]);
    // Something must happen for it to look.
    let host = running.host();
    let told = loop {
        host.session.request(&Request::Status).expect("a stream is free");
        let told = host.until(|happening| match happening {
            Happening::Event(event @ Event::OutOfMemory { .. }) => Some(Some(event.clone())),
            Happening::Response { .. } => Some(None),
            _ => None,
        });
        if let Some(event) = told {
            break event;
        }
    };
    assert_eq!(told, Event::OutOfMemory { name: None, limit_bytes: Some(32 << 20) });
    host.session.request(&Request::Metrics).expect("a stream is free");
    let metrics = host.until(|happening| match happening {
        Happening::Response { response: Response::Metrics(metrics), .. } => Some(metrics.clone()),
        _ => None,
    });
    assert_eq!(metrics.memory_limit_bytes, Some(32 << 20));
    assert_eq!(metrics.pressure, None, "what is known of the whole host is not the appliance's");
    running.host().ask(&Request::Stop { within_ms: None });
    let outcome = running.wait();
    assert!(outcome.err.contains("2 times a process inside was killed"), "{}", outcome.err);
}

#[test]
fn what_it_starts_is_a_likelier_victim_and_gets_none_of_its_files() {
    if skip("what_it_starts_is_a_likelier_victim_and_gets_none_of_its_files") {
        return;
    }
    let script =
        script("web", "cat /proc/1/oom_score_adj /proc/self/oom_score_adj; env | grep APPLIANCE_; ls /proc/self/fd");
    let outcome = Bench::new(vec![script]).counting_kills().run(&[]);
    let lines: Vec<&str> = outcome.out.lines().collect();
    let [own, service, rest @ ..] = lines.as_slice() else { panic!("{outcome:?}") };
    let (own, service): (i32, i32) = (own.parse().unwrap(), service.parse().unwrap());
    assert_eq!(service, (own + 200).min(1000));
    // 3 is the folder that is listed.
    assert_eq!(rest, ["0", "1", "2", "3"], "neither environment nor descriptors are passed on");
}
