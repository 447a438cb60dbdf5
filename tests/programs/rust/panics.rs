// Panics, caught and not, with what has to be dropped on the way.
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

struct Mark(&'static str);
impl Drop for Mark {
    fn drop(&mut self) {
        print!("]{}", self.0);
    }
}
fn mark(name: &'static str) -> Mark {
    print!("[{}", name);
    Mark(name)
}

#[inline(never)]
fn risky(n: i32) -> Result<i32, String> {
    let _m = mark("risky");
    match n {
        0 => Ok(1),
        1 => panic!("number {}", n),
        2 => Err("two".to_string()),
        3 => {
            let v = vec![1, 2, 3];
            Ok(v[(n as usize) + std::env::args().count()])
        }
        4 => {
            let none: Option<i32> = if std::env::args().count() > 100 { Some(1) } else { None };
            Ok(none.unwrap())
        }
        5 => {
            let d = std::env::args().count() as i32 - 1;
            Ok(10 / d)
        }
        6 => {
            let big = (i32::MAX - 1).wrapping_add(std::env::args().count() as i32);
            Ok(big.checked_add(1).expect("overflow"))
        }
        _ => std::panic::resume_unwind(Box::new(n)),
    }
}

struct Tree {
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
    _mark: Mark,
}
fn tree(depth: u32, limit: &Cell<i32>) -> Box<Tree> {
    limit.set(limit.get() - 1);
    if limit.get() < 0 {
        panic!("too many");
    }
    let (left, right) = if depth > 0 { (Some(tree(depth - 1, limit)), Some(tree(depth - 1, limit))) } else { (None, None) };
    Box::new(Tree { left, right, _mark: mark("t") })
}
fn count(t: &Tree) -> u32 {
    1 + t.left.as_ref().map_or(0, |l| count(l)) + t.right.as_ref().map_or(0, |r| count(r))
}

fn deep(n: u32, s: &mut Vec<String>) -> usize {
    let local = format!("level {}", n);
    if n == 0 {
        panic!("{} strings", s.len());
    }
    s.push(local.clone());
    deep(n - 1, s) + local.len()
}

fn describe(e: Box<dyn std::any::Any + Send>) -> String {
    if let Some(s) = e.downcast_ref::<&str>() {
        format!("str {}", s)
    } else if let Some(s) = e.downcast_ref::<String>() {
        format!("string {}", s)
    } else if let Some(n) = e.downcast_ref::<i32>() {
        format!("number {}", n)
    } else {
        "something".to_string()
    }
}

extern "C" fn compare(a: *const i32, b: *const i32) -> i32 {
    unsafe { (*a).cmp(&*b) as i32 }
}
extern "C" {
    fn qsort(base: *mut i32, n: usize, size: usize, f: extern "C" fn(*const i32, *const i32) -> i32);
}

fn main() {
    panic::set_hook(Box::new(|info| print!("<panic at line {}>", info.location().unwrap().line() > 0)));
    for n in 0..8 {
        let r = panic::catch_unwind(|| {
            let _outer = mark("outer");
            risky(n)
        });
        match r {
            Ok(v) => println!(" {}: {:?}", n, v),
            Err(e) => println!(" {}: {}", n, describe(e)),
        }
    }
    for limit in [3, 5, 7] {
        let left = Cell::new(limit);
        let r = panic::catch_unwind(AssertUnwindSafe(|| count(&tree(2, &left))));
        println!(" tree {:?}", r.map_err(describe));
    }
    let mut strings = Vec::new();
    let r = panic::catch_unwind(AssertUnwindSafe(|| deep(1000, &mut strings)));
    println!("deep {:?} {}", r.map_err(describe), strings[999]);
    let nested = panic::catch_unwind(|| {
        let inner = panic::catch_unwind(|| risky(1)).unwrap_err();
        let _m = mark("between");
        panic::resume_unwind(inner);
    });
    println!(" nested {}", describe(nested.unwrap_err()));
    let t = std::thread::spawn(|| {
        let _m = mark("thread");
        risky(4).unwrap()
    });
    println!(" thread {}", describe(t.join().unwrap_err()));
    let mut list = [5, 3, 9, 1];
    unsafe { qsort(list.as_mut_ptr(), 4, 4, compare) };
    let text: Vec<String> = list.iter().map(|n| format!("{:>4}{:08.3}", n, f64::from(*n) / 7.0)).collect();
    println!("{}", text.join(","));
    let total: u64 = (1..=1000u64).filter(|n| n % 3 == 0).map(|n| n * n).sum();
    let wide = u128::from(total) * 0x1_0000_0000_0000_0000u128 + 12345;
    println!("{} {} {:?}", total, wide, "7x".parse::<i32>().map_err(|e| e.to_string()));
    let _last = mark("last");
    if std::env::args().nth(1).is_some() {
        panic!("uncaught");
    }
}
