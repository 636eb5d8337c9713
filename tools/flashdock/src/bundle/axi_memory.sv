// A memory behind an AXI4 port: the place of a DDR controller in the example and in the smoke test.
//
// One read and one write at a time, incrementing bursts of whole beats, no errors. Addresses beyond the memory wrap.
module axi_memory #(
  parameter int DATA_BITS = 512,
  parameter int ADDRESS_BITS = 64,
  parameter int ID_BITS = 1,
  parameter int WORDS = 4096
) (
  input  logic clock,
  input  logic reset,
  input  logic [ID_BITS-1:0] awid,
  input  logic [ADDRESS_BITS-1:0] awaddr,
  input  logic awvalid,
  output logic awready,
  input  logic [DATA_BITS-1:0] wdata,
  input  logic [DATA_BITS/8-1:0] wstrb,
  input  logic wlast,
  input  logic wvalid,
  output logic wready,
  output logic [ID_BITS-1:0] bid,
  output logic [1:0] bresp,
  output logic bvalid,
  input  logic bready,
  input  logic [ID_BITS-1:0] arid,
  input  logic [ADDRESS_BITS-1:0] araddr,
  input  logic [7:0] arlen,
  input  logic arvalid,
  output logic arready,
  output logic [ID_BITS-1:0] rid,
  output logic [DATA_BITS-1:0] rdata,
  output logic [1:0] rresp,
  output logic rlast,
  output logic rvalid,
  input  logic rready
);
  localparam int INDEX_BITS = $clog2(WORDS);
  localparam int BYTE_BITS = $clog2(DATA_BITS / 8);

  logic [DATA_BITS-1:0] words [WORDS];

  // Writes: an address, its beats, a response.
  logic writing;
  logic [INDEX_BITS-1:0] write_index;
  assign awready = !writing && !bvalid;
  assign wready = writing;
  assign bresp = 2'b00;
  always_ff @(posedge clock) begin
    if (reset) begin
      writing <= 1'b0;
      bvalid <= 1'b0;
    end else begin
      if (awvalid && awready) begin
        writing <= 1'b1;
        bid <= awid;
        write_index <= awaddr[BYTE_BITS +: INDEX_BITS];
      end
      if (wvalid && wready) begin
        for (int lane = 0; lane < DATA_BITS / 8; lane++) begin
          if (wstrb[lane]) words[write_index][8*lane +: 8] <= wdata[8*lane +: 8];
        end
        write_index <= write_index + 1'b1;
        if (wlast) begin
          writing <= 1'b0;
          bvalid <= 1'b1;
        end
      end
      if (bvalid && bready) bvalid <= 1'b0;
    end
  end

  // Reads: an address, then a beat in each clock in which the other side takes one.
  logic [7:0] beats_left;
  logic [INDEX_BITS-1:0] read_index;
  assign arready = !rvalid;
  assign rresp = 2'b00;
  assign rdata = words[read_index];
  assign rlast = beats_left == 8'd0;
  always_ff @(posedge clock) begin
    if (reset) begin
      rvalid <= 1'b0;
    end else if (arvalid && arready) begin
      rvalid <= 1'b1;
      rid <= arid;
      beats_left <= arlen;
      read_index <= araddr[BYTE_BITS +: INDEX_BITS];
    end else if (rvalid && rready) begin
      rvalid <= !rlast;
      beats_left <= beats_left - 8'd1;
      read_index <= read_index + 1'b1;
    end
  end
endmodule
