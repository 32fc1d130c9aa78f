//! Reads a rotated log: what is there, and then what is appended, over any number of rotations. The
//! writer may be another process. A file is known by its id, not by its name, so a line is neither
//! lost nor read twice while names change.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use super::file::FileId;

/// The reading end.
pub struct LogReader {
    /// The newest first.
    paths: Vec<PathBuf>,
    /// The file that is read; `None` before there is one.
    reading: Option<Reading>,
}

struct Reading {
    id: FileId,
    file: BufReader<File>,
    /// A line whose end is not written yet.
    begun: Vec<u8>,
}

impl Reading {
    fn of(file: File) -> io::Result<Self> {
        let id = FileId::of(&file)?;
        Ok(Self { id, file: BufReader::new(file), begun: Vec::new() })
    }

    fn lines(&mut self, found: &mut Vec<String>) -> io::Result<()> {
        let length = self.file.get_ref().metadata()?.len();
        if self.file.stream_position()? > length {
            // The user has emptied it.
            self.file.seek(SeekFrom::Start(0))?;
            self.begun.clear();
        }
        while self.file.read_until(b'\n', &mut self.begun)? > 0 {
            if self.begun.pop_if(|last| *last == b'\n').is_some() {
                let line = std::mem::take(&mut self.begun);
                found.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        Ok(())
    }
}

impl LogReader {
    /// Of these files, the newest first. Begins with the oldest; nothing is read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, reading: None }
    }

    /// The whole lines that were appended since the last call, or all at the first one.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        if self.reading.is_none() {
            self.reading = self.files()?.into_iter().next();
        }
        while let Some(reading) = &mut self.reading {
            reading.lines(&mut found)?;
            let newer = self.newer()?;
            let Some(newer) = newer else { break };
            // The writer may have appended to the file between the last line and its new name.
            if let Some(reading) = &mut self.reading {
                reading.lines(&mut found)?;
            }
            self.reading = Some(newer);
        }
        Ok(found)
    }

    /// The file after the one that is read; the oldest one if that is gone.
    fn newer(&self) -> io::Result<Option<Reading>> {
        let mut files = self.files()?;
        let at = files
            .iter()
            .position(|file| self.reading.as_ref().is_some_and(|reading| reading.id == file.id));
        let next = at.map_or(0, |at| at + 1);
        Ok((next < files.len()).then(|| files.swap_remove(next)))
    }

    /// All files, the oldest first. They are opened from the newest on: one that is renamed
    /// meanwhile is found twice, not left out.
    fn files(&self) -> io::Result<Vec<Reading>> {
        let mut files: Vec<Reading> = Vec::new();
        for path in &self.paths {
            match File::open(path) {
                Ok(file) => {
                    let file = Reading::of(file)?;
                    if files.iter().all(|known| known.id != file.id) {
                        files.push(file);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        files.reverse();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::file::{LogFile, Rotation, files};
    use super::*;

    #[test]
    fn reader_follows_over_rotations_and_reads_each_line_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let mut reader = LogReader::new(files(&path, 2));
        assert!(reader.lines().unwrap().is_empty(), "there is no file yet");
        let mut log = LogFile::open(&path, Rotation { longest: 40, kept: 2 }).unwrap();
        let (mut read, mut written) = (Vec::new(), Vec::new());
        for number in 0..200 {
            let line = format!("record {number}");
            writeln_whole(&mut log, &line);
            written.push(line);
            // A file has three records: between two looks there are up to two rotations.
            if number % 7 == 0 {
                read.extend(reader.lines().unwrap());
                assert_eq!(read, written);
            }
        }
        read.extend(reader.lines().unwrap());
        assert_eq!(read, written);
    }

    fn writeln_whole(log: &mut LogFile, line: &str) {
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    #[test]
    fn line_is_read_when_it_is_whole_and_an_emptied_file_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let mut file = super::super::file::open(&path).unwrap();
        let mut reader = LogReader::new(files(&path, 2));
        file.write_all(b"a long first line\nhal").unwrap();
        assert_eq!(reader.lines().unwrap(), ["a long first line"]);
        file.write_all(b"f a line\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["half a line"]);
        file.set_len(0).unwrap();
        file.write_all(b"new\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["new"]);
    }

    #[test]
    fn reader_that_was_away_for_too_long_goes_on_with_the_oldest_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let mut log = LogFile::open(&path, Rotation { longest: 4, kept: 1 }).unwrap();
        let mut reader = LogReader::new(files(&path, 1));
        writeln_whole(&mut log, "one");
        assert_eq!(reader.lines().unwrap(), ["one"]);
        for line in ["two", "six", "for", "fiv"] {
            writeln_whole(&mut log, line);
        }
        assert_eq!(reader.lines().unwrap(), ["for", "fiv"]);
    }
}
