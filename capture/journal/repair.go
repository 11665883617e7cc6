package journal

import (
	"bytes"
	"io"
	"os"
)

// Repair makes a journal that was not closed ready to be appended to: it cuts the unfinished end off the last file
// and returns what it cut, nil for nothing. Good frames are never touched, and neither is damage that is not an
// unfinished end. [Create] does the same when it appends. The journal must not be open for writing; if it is, the
// error wraps [ErrLocked].
func Repair(path, prefix string) (*Cut, error) {
	held, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if err := lock(held); err != nil {
		return nil, err
	}
	info, err := held.Stat()
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return repairPath(path)
	}
	segments, err := segmentsOf(path, prefix)
	if err != nil || len(segments) == 0 {
		return nil, err
	}
	return repairPath(segments[len(segments)-1].path)
}

func repairPath(path string) (*Cut, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	cut, err := repair(file, path)
	if err == nil && cut != nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return cut, err
}

// repair cuts off what is unfinished at the end of an open file.
func repair(file *os.File, name string) (*Cut, error) {
	kind, err := kindOf(file)
	if err != nil {
		return nil, err
	}
	var cut *Cut
	if kind != plain {
		cut, err = cutFrame(file, kind)
	} else {
		cut, err = cutLine(file)
	}
	if err != nil || cut == nil {
		return nil, err
	}
	cut.File = name
	return cut, file.Truncate(cut.Offset)
}

// cutFrame finds an unfinished frame at the end of a compressed or an encrypted file.
func cutFrame(file *os.File, kind kind) (*Cut, error) {
	in, err := openFrames(file, kind, nil)
	if err != nil {
		return nil, err
	}
	defer in.decoder.Close()
	for {
		at := in.at
		_, err := in.read()
		switch {
		case err == io.EOF:
			return nil, nil
		case err == nil:
			continue
		case !isDamage(err):
			return nil, err
		}
		cut, err := in.cutAt(at, err)
		if err != nil {
			return nil, err
		}
		if cut {
			return &Cut{Offset: at, Bytes: in.size - at}, nil
		}
	}
}

// cutLine finds an unfinished line at the end of a plain file. If the last line lacks only its line end, it is added.
func cutLine(file *os.File) (*Cut, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	start, err := lastLine(file, size)
	if err != nil || start == size {
		return nil, err
	}
	if size-start <= MaxLine {
		tail := make([]byte, size-start)
		if _, err := file.ReadAt(tail, start); err != nil {
			return nil, err
		}
		if isWhole(tail) {
			_, err := file.Write([]byte{'\n'})
			return nil, err
		}
	}
	return &Cut{Offset: start, Bytes: size - start}, nil
}

// lastLine returns the offset after the last line end in the first size bytes of a file.
func lastLine(file *os.File, size int64) (int64, error) {
	buf := make([]byte, readAhead)
	for end := size; end > 0; {
		block := buf[:min(end, readAhead)]
		if _, err := file.ReadAt(block, end-int64(len(block))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			return end - int64(len(block)-i-1), nil
		}
		end -= int64(len(block))
	}
	return 0, nil
}
