package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Results come in an order of their own, but those of one batch of 10,000 records come together: the blocks
// that hold its records stay in memory, 3 MiB in all. Where few records are read, far from each other,
// larger blocks would read all of the file again.
const (
	blockSize = 8 << 10
	maxBlocks = 384
)

// Blocks reads a chunk's CSV at any place, through blocks that it keeps. It is for one goroutine.
type Blocks struct {
	name string
	file *os.File

	kept  map[int64][]byte // by number
	order []int64          // of the kept ones, as they were read; a ring once it is full
	next  int              // of order, to be replaced
}

// Blocks opens the CSV for reading records at the offsets that Records tells. The caller closes it.
func (f *File) Blocks() (*Blocks, error) {
	file, err := f.CSV()
	if err != nil {
		return nil, err
	}
	return &Blocks{name: f.name, file: file, kept: map[int64][]byte{}}, nil
}

// ReadAt fills p with what stands at an offset; less than that is an error, io.EOF where the file ends.
func (b *Blocks) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) >= blockSize {
		return b.file.ReadAt(p, offset)
	}
	n := 0
	for n < len(p) {
		block, err := b.block((offset + int64(n)) / blockSize)
		if err != nil {
			return n, err
		}
		from := int((offset + int64(n)) % blockSize)
		if from >= len(block) {
			return n, io.EOF
		}
		n += copy(p[n:], block[from:])
	}
	return n, nil
}

// Close closes the file.
func (b *Blocks) Close() error { return b.file.Close() }

func (b *Blocks) block(number int64) ([]byte, error) {
	if block, ok := b.kept[number]; ok {
		return block, nil
	}
	block := b.room()
	n, err := b.file.ReadAt(block, number*blockSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("spool %q: %w", b.name, err)
	}
	block = block[:n]
	b.kept[number] = block
	if len(b.order) < maxBlocks {
		b.order = append(b.order, number)
		return block, nil
	}
	b.order[b.next] = number
	b.next = (b.next + 1) % maxBlocks
	return block, nil
}

// room is a new block, or that of the one that has been kept the longest.
func (b *Blocks) room() []byte {
	if len(b.order) < maxBlocks {
		return make([]byte, blockSize)
	}
	oldest := b.order[b.next]
	block := b.kept[oldest]
	delete(b.kept, oldest)
	return block[:blockSize]
}
