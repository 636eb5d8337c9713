// The submission-queue fetch engine as one writes it by hand: the baseline for the area and the speed of the Rust HDL's output.
// Ports and behaviour are those of `QueueFetch` in queue_fetch.rs.

// example: pointers
module hand_sq_pointers #(
  parameter int IndexBits = 6
) (
  input  logic                 clock,
  input  logic                 reset,
  input  logic                 db_valid,
  input  logic [IndexBits-1:0] db_tail,
  input  logic                 pop,
  output logic [IndexBits-1:0] head,
  output logic                 nonempty,
  output logic                 db_err
);
  logic [IndexBits-1:0] tail, published, advance;

  assign nonempty  = head != tail;
  assign published = tail - head;
  assign advance   = db_tail - head;

  always_ff @(posedge clock) begin
    if (reset) begin
      head   <= '0;
      tail   <= '0;
      db_err <= 1'b0;
    end else begin
      if (db_valid) begin
        if (advance < published) db_err <= 1'b1;
        else tail <= db_tail;
      end
      if (pop) head <= head + 1'b1;
    end
  end
endmodule
// end

// example: fifo
module hand_command_fifo #(
  parameter int Width = 258,
  parameter int AddressBits = 9
) (
  input  logic             clock,
  input  logic             reset,
  input  logic             we,
  input  logic [Width-1:0] wdata,
  input  logic             next,
  output logic [Width-1:0] rdata,
  output logic             valid,
  output logic             full,
  output logic             almost_full
);
  (* ram_style = "block" *) logic [Width-1:0] ram [0:(1 << AddressBits) - 1];
  logic [AddressBits-1:0] write_at, write_seen, read_at, read_next, after, after_that;
  logic empty, take;

  assign empty       = write_seen == read_at;
  assign after       = write_at + 1'b1;
  assign after_that  = after + 1'b1;
  assign full        = after == read_at;
  assign almost_full = full | (after_that == read_at);
  assign valid       = ~empty;
  assign take        = we & ~full;
  assign read_next   = read_at + {{(AddressBits - 1){1'b0}}, next & ~empty};

  always_ff @(posedge clock) begin
    if (take) ram[write_at] <= wdata;
    rdata <= ram[read_next];
  end

  always_ff @(posedge clock) begin
    if (reset) begin
      write_at   <= '0;
      write_seen <= '0;
      read_at    <= '0;
    end else begin
      if (take) write_at <= after;
      write_seen <= write_at;
      read_at    <= read_next;
    end
  end
endmodule
// end

// example: engine
module hand_queue_fetch (
  input  logic         clock,
  input  logic         reset,
  input  logic         enable,
  input  logic [63:0]  base,
  input  logic         db_valid,
  input  logic [5:0]   db_tail,
  input  logic         ar_ready,
  input  logic         r_valid,
  input  logic [127:0] r_data,
  input  logic         r_last,
  input  logic         cmd_ready,
  output logic         ar_valid,
  output logic [63:0]  ar_addr,
  output logic [7:0]   ar_len,
  output logic         r_ready,
  output logic         cmd_valid,
  output logic [1:0]   cmd_op,
  output logic [15:0]  cmd_cid,
  output logic [31:0]  cmd_nsid,
  output logic [63:0]  cmd_prp1,
  output logic [63:0]  cmd_prp2,
  output logic [63:0]  cmd_slba,
  output logic [15:0]  cmd_nlb,
  output logic [5:0]   sq_head,
  output logic         err
);
  typedef enum logic [1:0] {Idle, Address, Data, Push} state_e;
  state_e state;
  logic [1:0] beat, op;
  logic last_error, nonempty, db_err, full, almost_full, pushed;
  logic [127:0] word0, word1, word2, word3;

  assign pushed = (state == Push) & ~full;

  hand_sq_pointers pointers (
    .clock, .reset, .db_valid, .db_tail, .pop(pushed), .head(sq_head), .nonempty, .db_err
  );

  always_comb begin
    case (word0[7:0])
      8'h00:   op = 2'd0;
      8'h01:   op = 2'd1;
      8'h02:   op = 2'd2;
      default: op = 2'd3;
    endcase
  end

  hand_command_fifo fifo (
    .clock, .reset, .we(pushed), .next(cmd_ready),
    .wdata({word3[15:0], word2[127:64], word2[63:0], word1[127:64], word0[63:32], word0[31:16], op}),
    .rdata({cmd_nlb, cmd_slba, cmd_prp2, cmd_prp1, cmd_nsid, cmd_cid, cmd_op}),
    .valid(cmd_valid), .full, .almost_full
  );

  assign ar_valid = state == Address;
  assign ar_addr  = base + {52'd0, sq_head, 6'd0};
  assign ar_len   = 8'd3;
  assign r_ready  = state == Data;
  assign err      = db_err | last_error;

  always_ff @(posedge clock) begin
    if (reset) begin
      state      <= Idle;
      beat       <= '0;
      last_error <= 1'b0;
      word0      <= '0;
      word1      <= '0;
      word2      <= '0;
      word3      <= '0;
    end else begin
      case (state)
        Idle: if (enable & nonempty & ~almost_full) state <= Address;
        Address: if (ar_ready) begin
          state <= Data;
          beat  <= '0;
        end
        Data: if (r_valid) begin
          case (beat)
            2'd0: word0 <= r_data;
            2'd1: word1 <= r_data;
            2'd2: word2 <= r_data;
            default: word3 <= r_data;
          endcase
          beat <= beat + 1'b1;
          if (r_last != (beat == 2'd3)) last_error <= 1'b1;
          if (beat == 2'd3) state <= Push;
        end
        default: if (~full) state <= Idle;
      endcase
    end
  end
endmodule
// end
