package bench

// section is a part of the page: figures that belong together, and how they are
// measured.
type section struct{ Name, Title, How string }

func sections() []section {
	return []section{
		{"extract", "Extraction to spooled chunks", `Rows are read in the order of their key, encoded, cut into chunks of 100,000, checksummed, written and synced, with the
code that runs use, in the process that measures. The floor is the whole process of
` + "`psql -c \"COPY (SELECT ...) TO STDOUT (FORMAT csv)\" > /dev/null`" + ` on the same rows. Allocations are counted by the Go
runtime over the whole extraction, what is allocated once or per chunk included.`},
		{"load", "The whole load", `` + "`etl run`" + ` of an upsert, from its start to its end: reading, uploading, following the jobs, results and reconciliation.
The org answers at once and refuses each hundredth record. Only sending is the floor of the sending side: a minimal HTTP
client puts the same chunk files into the same org, five jobs at once, looks every 50 ms whether they have ended, and
throws the failed results away. The long load is the same with more rows; its floors are the figures of the short one.`},
		{"slow", "An org that takes time", `Batches of 10,000 records take the org 2 s, it works on five of them at once, and each request takes 150 ms. The floor is
what the batches take if its workers never wait. When the first job was made and when the last row was read, since the
start of the process, shows that the two overlap; both come from the run's own tables and the org's jobs.`},
		{"cost", "What a load costs in the org", `Of the same load: what ` + "`etl run`" + ` counts in its summary, over what ` + "`etl plan`" + ` said of it before.`},
		{"wire", "How the network is used", `Of the same load, counted by the org: connections, downloads of results, compressed answers.`},
		{"failures", "Failures in bulk", `The org refuses every record. Chunks are settled from the moment that the download of their results begins until they
stand in the tables; moments with several of them count once. The whole run is from the start of the process to its end;
` + "`etl failed list`" + ` and ` + "`etl failed retry`" + ` are whole processes too. The retry reads the records again from the source by
their keys, and the org takes all of them.`},
		{"wide", "Other shapes of rows", `The whole load again, with rows of 400 columns, with texts of 100 KB, and with records of a single byte, as an insert, in
which all records are equal. Memory may be larger by one record.`},
		{"settings", "What chunks do", `As many rows, up to 200,000, into the org that takes time, with ` + "`chunk`" + ` set in other ways. The floor is what the org needs for full
batches, if its workers never wait. [tuning.md](tuning.md) says what to make of it.`},
	}
}
