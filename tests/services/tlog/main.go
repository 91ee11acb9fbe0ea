// Reads a log's folder with other people's code: the notes, tiles and proofs of
// golang.org/x/mod and filippo.io/torchwood. Nothing here knows Concordat.
//
//	tlog FOLDER LOG-VKEY [WITNESS-VKEY ...]
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func treeOf(text string) tlog.Tree {
	checkpoint := must(torchwood.ParseCheckpoint(text))
	return checkpoint.Tree
}

func main() {
	folder, verifiers := os.Args[1], []note.Verifier{must(note.NewVerifier(os.Args[2]))}
	for _, vkey := range os.Args[3:] {
		verifiers = append(verifiers, must(torchwood.NewCosignatureVerifier(vkey)))
	}
	known := note.VerifierList(verifiers...)
	latest := must(note.Open(must(os.ReadFile(filepath.Join(folder, "checkpoint"))), known))
	tree := treeOf(latest.Text)

	tiles := must(torchwood.NewTileFS(os.DirFS(folder)))
	client := must(torchwood.NewClient(tiles))
	ctx := context.Background()
	hash, entries := sha256.New(), 0
	for _, entry := range client.AllEntries(ctx, tree, 0) {
		hash.Write(entry)
		entries++
	}
	must(0, client.Err())

	// Every checkpoint of the history is a part of the latest.
	reader, consistent := torchwood.TileHashReaderWithContext(ctx, tree, tiles), 0
	history := must(os.Open(filepath.Join(folder, "history.jsonl")))
	for lines := bufio.NewScanner(history); lines.Scan(); consistent++ {
		var line struct{ Note string }
		must(0, json.Unmarshal(lines.Bytes(), &line))
		old := treeOf(must(note.Open([]byte(line.Note), known)).Text)
		proof := must(tlog.ProveTree(tree.N, old.N, reader))
		must(0, tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	}
	must(0, json.NewEncoder(os.Stdout).Encode(map[string]any{
		"size": tree.N, "entries": entries, "sha256": fmt.Sprintf("%x", hash.Sum(nil)),
		"consistent": consistent, "signatures": len(latest.Sigs),
	}))
}
