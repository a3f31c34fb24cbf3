package state

// Write names a kind of write of the state schema: what its transaction makes durable.
type Write string

// The writes that are no move of a chunk.
const (
	WriteStart     Write = "run started"
	WriteTake      Write = "run taken over"
	WriteFinish    Write = "run finished"
	WriteStep      Write = "step state"
	WriteExtracted Write = "extraction done"
	WriteHalt      Write = "chunk halted"
	WriteSplit     Write = "chunk split" // planned>spooled, with another chunk for the rest of its range
	WriteDiscard   Write = "chunks discarded"
	WriteRows      Write = "rows opened"
)

// writeNothing is a transaction that only looks.
const writeNothing Write = ""

// The instants of a write.
const (
	beforeCommit = ": before commit"
	afterCommit  = ": after commit"
)

// chunkNew is where the first arrow of a chunk comes from.
const chunkNew ChunkState = "new"

// Arrow is a move of a chunk from one state to another, as docs/architecture.md draws them.
type Arrow struct{ From, To ChunkState }

// Write is the write that the move is.
func (a Arrow) Write() Write { return Write("chunk " + string(a.From) + ">" + string(a.To)) }

// Arrows lists every move that a chunk can make. A move that is not among them is refused.
func Arrows() []Arrow {
	return []Arrow{
		{chunkNew, ChunkPlanned},
		{chunkNew, ChunkSpooled},
		{ChunkPlanned, ChunkSpooled},
		{ChunkSpooled, ChunkPlanned},
		{ChunkSpooled, ChunkCreated},
		{ChunkSpooled, ChunkReconciled},
		{ChunkCreated, ChunkSpooled},
		{ChunkCreated, ChunkUploaded},
		{ChunkCreated, ChunkSubmitted},
		{ChunkUploaded, ChunkSpooled},
		{ChunkUploaded, ChunkClosing},
		{ChunkUploaded, ChunkSubmitted},
		{ChunkClosing, ChunkSubmitted},
		{ChunkSubmitted, ChunkFinished},
		{ChunkFinished, ChunkReconciled},
	}
}

// Writes lists every kind of write that drives a run.
func Writes() []Write {
	writes := []Write{WriteStart, WriteTake, WriteFinish, WriteStep, WriteExtracted, WriteHalt, WriteSplit, WriteDiscard, WriteRows}
	for _, arrow := range Arrows() {
		writes = append(writes, arrow.Write())
	}
	return writes
}

// Points are the two instants at which a process that dies leaves different states behind: all of the
// write has been said and none of it is durable, and all of it is durable and nobody knows.
func (w Write) Points() []string { return []string{string(w) + beforeCommit, string(w) + afterCommit} }

// SetProbe lets probe hear of every point of every write as it is reached, from any goroutine. It is for
// tests that kill the process there, and must be called before the store is used.
func (s *Store) SetProbe(probe func(point string)) { s.probe = probe }

func (s *Store) reach(w Write, instant string) {
	if s.probe != nil && w != "" {
		s.probe(string(w) + instant)
	}
}
