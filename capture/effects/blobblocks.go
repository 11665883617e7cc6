package effects

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
)

// putBlock stages a block, which has no effect until a list has it. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/put-block.
func (b blobCall) putBlock(id string) error {
	if raw, err := base64.StdEncoding.DecodeString(id); err != nil || len(raw) == 0 || len(raw) > 64 {
		return invalidQuery("blockid")
	}
	if b.r.Header.Get("X-Ms-Copy-Source") != "" {
		return b.call.unsupported("Blob blocks from a URL")
	}
	data, err := b.content()
	if err != nil {
		return err
	}
	b.srv.mu.Lock()
	if b.srv.blocks[b.ref] == nil {
		b.srv.blocks[b.ref] = make(map[string][]byte)
	}
	b.srv.blocks[b.ref][id] = data
	b.srv.mu.Unlock()
	b.w.Header().Set("X-Ms-Request-Server-Encrypted", "true")
	b.w.WriteHeader(http.StatusCreated)
	return nil
}

// putBlockList makes the blob of staged blocks. Blocks that an earlier list committed are not kept apart, so a list
// that asks for them is not supported. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list.
func (b blobCall) putBlockList() error {
	body, err := b.content()
	if err != nil {
		return err
	}
	blocks, err := parseBlockList(body)
	if err != nil {
		return invalidXML()
	}
	for _, one := range blocks {
		if one.list == "Committed" {
			return b.call.unsupported("Blob block lists with committed blocks")
		}
	}
	data, err := b.assemble(blocks)
	if err != nil {
		return err
	}
	if err := b.store(newObject(data, b.properties())); err != nil {
		return err
	}
	b.w.WriteHeader(http.StatusCreated)
	return nil
}

// assemble joins staged blocks in the order of the list.
func (b blobCall) assemble(blocks []listedBlock) ([]byte, error) {
	b.srv.mu.Lock()
	defer b.srv.mu.Unlock()
	var data []byte
	for _, one := range blocks {
		block, ok := b.srv.blocks[b.ref][one.id]
		if !ok {
			return nil, &fault{http.StatusBadRequest, "InvalidBlockList", "The specified block list is invalid."}
		}
		data = append(data, block...)
	}
	return data, nil
}

// A listedBlock is an element of a block list: the list in which to look for the block, and its ID.
type listedBlock struct{ list, id string }

// parseBlockList reads a document whose elements' names and order both matter.
func parseBlockList(doc []byte) ([]listedBlock, error) {
	var blocks []listedBlock
	d := xml.NewDecoder(bytes.NewReader(doc))
	root := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root {
			return blocks, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case !root && start.Name.Local == "BlockList":
			root = true
		case root && (start.Name.Local == "Latest" || start.Name.Local == "Uncommitted" || start.Name.Local == "Committed"):
			one := listedBlock{list: start.Name.Local}
			if err := d.DecodeElement(&one.id, &start); err != nil {
				return nil, err
			}
			blocks = append(blocks, one)
		default:
			return nil, errors.New("unexpected element " + start.Name.Local)
		}
	}
}
